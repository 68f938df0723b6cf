//! Answers that only C code of the target knows: which references an object's `tp_traverse` visits,
//! and what its `__sizeof__` returns. The code is not run in the target: its instructions are
//! decoded and followed here, over the captured memory.
//!
//! Knows x86-64 and the calling convention of Linux; knows nothing of Python's layouts. Everything
//! is hostile: reads are checked, writes go into memory of our own, and the number of steps is
//! bounded. What cannot be followed is an error, and the caller knows another way.
//!
//! Whether one object's code can be followed depends on nothing but memory, which stands still: not
//! on what happened with another object of the type, and not on which worker was first.

mod block;
mod execute;
mod ledger;
mod machine;
mod operand;
mod variables;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};

use rustc_hash::FxHashMap;

use crate::addr::Addr;
use crate::target::memory::Memory;
use block::Block;
use ledger::{Allowance, Ledger};
use machine::Machine;
pub use variables::{Variable, variables};

/// Why code could not be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stuck {
    /// Memory that it reads cannot be read.
    #[error("memory at {0} cannot be read")]
    Memory(Addr),
    /// An instruction that is not known here.
    #[error("the instruction at {0} is not known")]
    Instruction(Addr),
    /// It takes more steps than one call is allowed.
    #[error("too many steps")]
    Steps,
    /// All its calls together take more steps than are allowed.
    #[error("too many steps in all")]
    Spent,
    /// It changes more memory than is allowed.
    #[error("it writes too much")]
    Writes,
    /// It returns something else than an `int` that it made.
    #[error("it returns no number")]
    NoNumber,
    /// This machine is of another kind than the code.
    #[error("code of this architecture cannot be followed")]
    Architecture,
}

/// The code of a target, as far as it has been decoded: shared by all workers.
#[derive(Debug, Default)]
pub struct Code {
    blocks: RwLock<FxHashMap<u64, Arc<Block>>>,
    /// How many instructions the blocks have.
    decoded: AtomicUsize,
    /// Where `fs` points to in the thread that is pretended to run the code.
    thread_pointer: Addr,
    /// Functions that make an `int` of a number.
    int_makers: Vec<Addr>,
    /// The C library's `strcmp`, whose instructions are of the newest processors.
    strcmp: Addr,
    allowance: Allowance,
    traversals: Ledger,
    numbers: Ledger,
}

/// The most instructions that are remembered: all that real programs need, a hundred times.
const MAX_DECODED: usize = 1 << 20;

impl Code {
    /// The code of a target. `thread_pointer` is where `fs` points to in the thread that is pretended
    /// to run it; calls of `int_makers`, functions that make an `int` of a number, and of `strcmp`
    /// are not followed, but done.
    #[must_use]
    pub fn new(thread_pointer: Addr, int_makers: Vec<Addr>, strcmp: Addr) -> Self {
        Self { thread_pointer, int_makers, strcmp, ..Self::default() }
    }

    /// Follows `tp_traverse(self, visit, arg)` and gives every object that it visits to `visit`.
    ///
    /// # Errors
    /// The code cannot be followed to its end; what was visited until then is not all.
    pub fn traverse(
        &self,
        memory: &impl Memory,
        function: Addr,
        object: Addr,
        mut visit: impl FnMut(Addr),
    ) -> Result<(), Stuck> {
        let arguments = [object.0, machine::VISIT, 0, 0, 0];
        self.call(memory, &self.traversals, function, arguments, &mut visit).map(|_| ())
    }

    /// Follows a method without arguments that returns an `int`, and gives the number that this was
    /// made of. Other numbers that it makes an `int` of on its way are not the answer.
    ///
    /// # Errors
    /// The code cannot be followed, or returns no `int` that it made.
    pub fn number(
        &self,
        memory: &impl Memory,
        function: Addr,
        arguments: [u64; 5],
    ) -> Result<u64, Stuck> {
        let machine = self.call(memory, &self.numbers, function, arguments, &mut |_| {})?;
        machine.returned_number().ok_or(Stuck::NoNumber)
    }

    /// Makes a pass over objects whose `tp_traverse` is followed. Where functions use up their share
    /// of steps, the pass is made again without them, so that all objects of a type are treated alike
    /// whichever came first. The same calls can be made again after it.
    pub fn settle_traversals<T>(&self, pass: impl FnMut() -> T) -> T {
        self.traversals.settle(&self.allowance, pass)
    }

    /// The same for a pass over objects whose [`Code::number`] is asked.
    pub fn settle_numbers<T>(&self, pass: impl FnMut() -> T) -> T {
        self.numbers.settle(&self.allowance, pass)
    }

    /// Follows a function until it returns, and gives the state of the processor then.
    fn call<'m, M: Memory>(
        &self,
        memory: &'m M,
        ledger: &Ledger,
        function: Addr,
        arguments: [u64; 5],
        visit: &mut impl FnMut(Addr),
    ) -> Result<Machine<'m, M>, Stuck> {
        if cfg!(not(target_arch = "x86_64")) {
            return Err(Stuck::Architecture);
        }
        let account = ledger.open(function, &self.allowance).ok_or(Stuck::Spent)?;
        let mut machine = Machine::new(memory, self.thread_pointer);
        let mut steps = self.allowance.call;
        let end = machine
            .call(function, arguments)
            .and_then(|()| execute::run(&mut machine, self, &mut steps, visit));
        ledger.charge(&account, self.allowance.call - steps);
        match end {
            Ok(()) => Ok(machine),
            Err(error) => {
                if account.is_first_failure() {
                    let object = arguments.first().copied().map(Addr).unwrap_or_default();
                    tracing::debug!(%function, %object, %error, "code that cannot be followed");
                }
                Err(error)
            }
        }
    }

    /// The instructions from an address up to the next jump.
    fn block(&self, memory: &impl Memory, at: u64) -> Result<Arc<Block>, Stuck> {
        if let Ok(blocks) = self.blocks.read()
            && let Some(block) = blocks.get(&at)
        {
            return Ok(Arc::clone(block));
        }
        let block = Arc::new(Block::decode(memory, at)?);
        if self.decoded.fetch_add(block.instructions.len(), Ordering::Relaxed) < MAX_DECODED
            && let Ok(mut blocks) = self.blocks.write()
        {
            blocks.insert(at, Arc::clone(&block));
        }
        Ok(block)
    }
}

#[cfg(test)]
mod tests;
