//! The state of a processor that pretends to run in the target: registers, flags, a stack of its
//! own, and the writes that the target never sees.

use rustc_hash::FxHashMap;

use super::Stuck;
use crate::addr::Addr;
use crate::target::memory::Memory;

/// Addresses that no program has, since they are not canonical.
const OUTSIDE: u64 = 0x00E0_0000_0000_0000;
/// The address of the `visit` that is given to `tp_traverse`.
pub(super) const VISIT: u64 = OUTSIDE + 0x10_0000;
/// The address that the outermost function returns to.
pub(super) const RETURN: u64 = OUTSIDE + 0x20_0000;
/// The address of the first `int` that is pretended to be made, and the distance to the next. Nothing
/// can be read there: code that looks into such an `int` cannot be followed.
const INTS: u64 = OUTSIDE + 0x30_0000;
const INT_BYTES: u64 = 16;
/// The most of them: a size is a sum of two or three.
const MAX_INTS: usize = 16;
/// The stack grows down from here.
const STACK_TOP: u64 = OUTSIDE;
/// The size of the stack, in bytes: what C code recurses in, not what Python does.
const STACK_BYTES: usize = 32 << 10;
/// The most words outside of the stack that code may change: reference counts that go up and down.
const MAX_WRITES: usize = 1 << 10;

/// The condition flags of the last arithmetic.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) carry: bool,
    pub(super) zero: bool,
    pub(super) sign: bool,
    pub(super) overflow: bool,
    pub(super) parity: bool,
}

/// A processor and what it sees of memory.
pub(super) struct Machine<'m, M> {
    memory: &'m M,
    /// In the order of their numbers: `rax rcx rdx rbx rsp rbp rsi rdi r8 …`.
    pub(super) registers: [u64; 16],
    pub(super) vectors: [u128; 16],
    pub(super) flags: Flags,
    pub(super) instruction: u64,
    pub(super) thread_pointer: u64,
    stack: Vec<u8>,
    writes: FxHashMap<u64, [u8; 8]>,
    /// The numbers of which an `int` was made.
    ints: Vec<u64>,
}

pub(super) const RSP: usize = 4;
pub(super) const RDI: usize = 7;
pub(super) const RSI: usize = 6;
pub(super) const RAX: usize = 0;

impl<'m, M: Memory> Machine<'m, M> {
    pub(super) fn new(memory: &'m M, thread_pointer: Addr) -> Self {
        Self {
            memory,
            registers: [0; 16],
            vectors: [0; 16],
            flags: Flags::default(),
            instruction: 0,
            thread_pointer: thread_pointer.0,
            stack: vec![0; STACK_BYTES],
            writes: FxHashMap::default(),
            ints: Vec::new(),
        }
    }

    pub(super) const fn memory(&self) -> &'m M {
        self.memory
    }

    /// Enters a function with up to five arguments, as the System V convention has it.
    pub(super) fn call(&mut self, function: Addr, arguments: [u64; 5]) -> Result<(), Stuck> {
        /// `rdi rsi rdx rcx r8`.
        const ARGUMENTS: [usize; 5] = [7, 6, 2, 1, 8];
        for (register, argument) in ARGUMENTS.into_iter().zip(arguments) {
            self.set(register, argument);
        }
        self.set(RSP, STACK_TOP - 64);
        self.push(RETURN)?;
        self.instruction = function.0;
        Ok(())
    }

    pub(super) fn get(&self, register: usize) -> u64 {
        self.registers.get(register).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, register: usize, value: u64) {
        if let Some(register) = self.registers.get_mut(register) {
            *register = value;
        }
    }

    /// Pretends to make an `int` of the first argument, and returns it.
    pub(super) fn make_int(&mut self) -> Result<(), Stuck> {
        if self.ints.len() >= MAX_INTS {
            return Err(Stuck::Writes);
        }
        let at = INTS + self.ints.len() as u64 * INT_BYTES;
        self.ints.push(self.get(RDI));
        self.set(RAX, at);
        Ok(())
    }

    /// The number of the `int` that was returned.
    pub(super) fn returned_number(&self) -> Option<u64> {
        let offset = self.get(RAX).checked_sub(INTS)?;
        let nth = usize::try_from(offset / INT_BYTES).ok()?;
        if offset % INT_BYTES == 0 { self.ints.get(nth).copied() } else { None }
    }

    pub(super) fn push(&mut self, value: u64) -> Result<(), Stuck> {
        let top = self.get(RSP).wrapping_sub(8);
        self.set(RSP, top);
        self.write(top, &value.to_le_bytes())
    }

    pub(super) fn pop(&mut self) -> Result<u64, Stuck> {
        let top = self.get(RSP);
        self.set(RSP, top.wrapping_add(8));
        self.word(top)
    }

    pub(super) fn word(&self, at: u64) -> Result<u64, Stuck> {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Where in the stack an address is, with room for `len` bytes.
    fn in_stack(&self, at: u64, len: usize) -> Option<usize> {
        let bottom = STACK_TOP - STACK_BYTES as u64;
        let offset = usize::try_from(at.checked_sub(bottom)?).ok()?;
        (offset.checked_add(len)? <= self.stack.len()).then_some(offset)
    }

    pub(super) fn read(&self, at: u64, buf: &mut [u8]) -> Result<(), Stuck> {
        if let Some(offset) = self.in_stack(at, buf.len()) {
            let bytes = self.stack.get(offset..).unwrap_or_default();
            for (to, from) in buf.iter_mut().zip(bytes) {
                *to = *from;
            }
            return Ok(());
        }
        self.memory.read(Addr(at), buf).map_err(|_| Stuck::Memory(Addr(at)))?;
        if !self.writes.is_empty() {
            for (nth, byte) in buf.iter_mut().enumerate() {
                let at = at.wrapping_add(nth as u64);
                if let Some(written) = self.writes.get(&(at & !7)) {
                    *byte = written.get((at & 7) as usize).copied().unwrap_or_default();
                }
            }
        }
        Ok(())
    }

    /// Writes to the stack, or beside the target's memory: the target never sees it.
    pub(super) fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), Stuck> {
        if let Some(offset) = self.in_stack(at, bytes.len()) {
            let stack = self.stack.get_mut(offset..).unwrap_or_default();
            for (to, from) in stack.iter_mut().zip(bytes) {
                *to = *from;
            }
            return Ok(());
        }
        for (nth, byte) in bytes.iter().enumerate() {
            let at = at.wrapping_add(nth as u64);
            let word = at & !7;
            if !self.writes.contains_key(&word) {
                if self.writes.len() >= MAX_WRITES {
                    return Err(Stuck::Writes);
                }
                let before =
                    self.memory.array(Addr(word)).map_err(|_| Stuck::Memory(Addr(word)))?;
                self.writes.insert(word, before);
            }
            if let Some(written) = self.writes.get_mut(&word)
                && let Some(written) = written.get_mut((at & 7) as usize)
            {
                *written = *byte;
            }
        }
        Ok(())
    }
}
