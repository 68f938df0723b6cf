//! How many steps have been followed, and how many may be: hostile code must not hold up a walk of
//! millions of objects. What an object gets must not depend on which worker comes first, though.
//! So whoever uses up its share is left out from the start when the pass is made again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use rustc_hash::FxHashMap;

use crate::addr::Addr;

/// How many instructions may be followed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// In one call: a container in C visits each of its items in a handful of them.
    pub(super) call: u64,
    /// In all calls of one function in one pass over the heap: tens of millions of objects take less.
    pub(super) function: u64,
    /// In all calls of one pass.
    pub(super) pass: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { call: 1 << 22, function: 1 << 32, pass: 1 << 33 }
    }
}

/// What one function has used.
#[derive(Debug, Default)]
pub(super) struct Account {
    spent: AtomicU64,
    /// It has used up its share once, and is followed no more.
    closed: AtomicBool,
    /// It has been written to the log.
    noted: AtomicBool,
}

impl Account {
    /// Whether this is the first failure of the function.
    pub(super) fn is_first_failure(&self) -> bool {
        !self.noted.swap(true, Ordering::Relaxed)
    }
}

/// The accounts of the functions that are called for one purpose.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    accounts: RwLock<FxHashMap<Addr, Arc<Account>>>,
    spent: AtomicU64,
    /// All functions together have used up their share.
    closed: AtomicBool,
    /// A pass has come to its end within all shares: the same calls may be made again.
    settled: AtomicBool,
}

/// How often a pass is made before nothing is followed any more.
const MAX_PASSES: u32 = 3;

impl Ledger {
    /// The account of a function, if that may be followed.
    pub(super) fn open(&self, function: Addr, allowance: &Allowance) -> Option<Arc<Account>> {
        let account = self.account(function)?;
        if self.closed.load(Ordering::Relaxed) || account.closed.load(Ordering::Relaxed) {
            return None;
        }
        let is_within = self.settled.load(Ordering::Relaxed)
            || account.spent.load(Ordering::Relaxed) < allowance.function
                && self.spent.load(Ordering::Relaxed) < allowance.pass;
        is_within.then_some(account)
    }

    fn account(&self, function: Addr) -> Option<Arc<Account>> {
        if let Some(account) = self.accounts.read().ok()?.get(&function) {
            return Some(Arc::clone(account));
        }
        Some(Arc::clone(self.accounts.write().ok()?.entry(function).or_default()))
    }

    /// Writes down what a call has taken.
    pub(super) fn charge(&self, account: &Account, steps: u64) {
        account.spent.fetch_add(steps, Ordering::Relaxed);
        self.spent.fetch_add(steps, Ordering::Relaxed);
    }

    /// The steps of this pass so far.
    #[cfg(test)]
    pub(super) fn spent(&self) -> u64 {
        self.spent.load(Ordering::Relaxed)
    }

    /// Makes a pass, and makes it again without the functions that used up their share in it, so
    /// that all objects of each are treated alike.
    pub(super) fn settle<T>(&self, allowance: &Allowance, mut pass: impl FnMut() -> T) -> T {
        self.settled.store(false, Ordering::Relaxed);
        for _ in 1..MAX_PASSES {
            let made = pass();
            if !self.close_what_is_spent(allowance) {
                self.settled.store(true, Ordering::Relaxed);
                return made;
            }
        }
        self.closed.store(true, Ordering::Relaxed);
        pass()
    }

    /// Ends a pass. Whether anything used up its share.
    fn close_what_is_spent(&self, allowance: &Allowance) -> bool {
        let mut any = self.spent.swap(0, Ordering::Relaxed) >= allowance.pass;
        self.closed.fetch_or(any, Ordering::Relaxed);
        if let Ok(accounts) = self.accounts.read() {
            for (function, account) in accounts.iter() {
                if account.spent.swap(0, Ordering::Relaxed) >= allowance.function {
                    tracing::debug!(%function, "code that takes too many steps");
                    account.closed.store(true, Ordering::Relaxed);
                    any = true;
                }
            }
        }
        any
    }
}
