//! Answers that only C code of the target knows: which references an object's `tp_traverse` visits,
//! and what its `__sizeof__` returns. The code is not run in the target: its instructions are
//! decoded and followed here, over the captured memory.
//!
//! Knows x86-64 and the calling convention of Linux; knows nothing of Python's layouts. Everything
//! is hostile: reads are checked, writes go into memory of our own, and the number of steps is
//! bounded. What cannot be followed is an error, and the caller knows another way.

mod block;
mod execute;
mod machine;
mod operand;

use std::sync::{Arc, RwLock};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::addr::Addr;
use crate::target::memory::Memory;
use block::Block;
use machine::Machine;

/// Why code could not be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stuck {
    /// Memory that it reads cannot be read.
    #[error("memory at {0} cannot be read")]
    Memory(Addr),
    /// An instruction that is not known here.
    #[error("the instruction at {0} is not known")]
    Instruction(Addr),
    /// It takes more steps than are allowed.
    #[error("too many steps")]
    Steps,
    /// It changes more memory than is allowed.
    #[error("it writes too much")]
    Writes,
    /// This machine is of another kind than the code.
    #[error("code of this architecture cannot be followed")]
    Architecture,
}

/// The code of a target, as far as it has been decoded: shared by all workers.
#[derive(Debug, Default)]
pub struct Code {
    blocks: RwLock<FxHashMap<u64, Arc<Block>>>,
    /// Functions that could not be followed once are not tried again.
    stuck: RwLock<FxHashSet<Addr>>,
    /// Where `fs` points to in the thread that is pretended to run the code.
    thread_pointer: Addr,
    /// Functions whose call is the answer.
    answers: Vec<Addr>,
    /// The C library's `strcmp`, whose instructions are of the newest processors.
    strcmp: Addr,
}

/// The most steps of one call: a container in C visits each of its items in a handful of them.
const MAX_STEPS: u64 = 1 << 22;

impl Code {
    /// The code of a target. `thread_pointer` is where `fs` points to in the thread that is pretended
    /// to run it; a call of one of `answers`, functions that make an `int` of a number, is an answer;
    /// a call of `strcmp` is not followed, but done.
    #[must_use]
    pub fn new(thread_pointer: Addr, answers: Vec<Addr>, strcmp: Addr) -> Self {
        Self { thread_pointer, answers, strcmp, ..Self::default() }
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
        self.enter(function, |code| {
            let mut machine = Machine::new(memory, code.thread_pointer);
            machine.call(function, [object.0, machine::VISIT, 0, 0, 0])?;
            execute::run(&mut machine, code, MAX_STEPS, &mut |event| match event {
                execute::Event::Visited(object) => visit(object),
                execute::Event::Answered(_) => {}
            })
        })
    }

    /// Follows a method without arguments until it turns a number into an `int`, and gives the
    /// number.
    ///
    /// # Errors
    /// The code cannot be followed, or ends without an `int`.
    pub fn number(
        &self,
        memory: &impl Memory,
        function: Addr,
        arguments: [u64; 5],
    ) -> Result<u64, Stuck> {
        self.enter(function, |code| {
            let mut machine = Machine::new(memory, code.thread_pointer);
            machine.call(function, arguments)?;
            let mut answer = None;
            execute::run(&mut machine, code, MAX_STEPS, &mut |event| {
                if let execute::Event::Answered(number) = event {
                    answer = Some(number);
                }
            })?;
            answer.ok_or(Stuck::Instruction(function))
        })
    }

    /// Whether a function has turned out to be one that cannot be followed.
    #[must_use]
    pub fn is_stuck(&self, function: Addr) -> bool {
        self.stuck.read().is_ok_and(|stuck| stuck.contains(&function))
    }

    fn enter<T>(
        &self,
        function: Addr,
        follow: impl FnOnce(&Self) -> Result<T, Stuck>,
    ) -> Result<T, Stuck> {
        if cfg!(not(target_arch = "x86_64")) {
            return Err(Stuck::Architecture);
        }
        if self.is_stuck(function) {
            return Err(Stuck::Instruction(function));
        }
        follow(self).inspect_err(|error| {
            if let Ok(mut stuck) = self.stuck.write()
                && stuck.insert(function)
            {
                tracing::debug!(%function, %error, "code that cannot be followed");
            }
        })
    }

    /// The instructions from an address up to the next jump.
    fn block(&self, memory: &impl Memory, at: u64) -> Result<Arc<Block>, Stuck> {
        if let Ok(blocks) = self.blocks.read()
            && let Some(block) = blocks.get(&at)
        {
            return Ok(Arc::clone(block));
        }
        let block = Arc::new(Block::decode(memory, at)?);
        if let Ok(mut blocks) = self.blocks.write() {
            blocks.insert(at, Arc::clone(&block));
        }
        Ok(block)
    }
}

#[cfg(test)]
mod tests;
