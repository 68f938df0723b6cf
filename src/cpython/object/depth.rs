//! How deep the evaluation stack of a function is at each of its instructions: computed from its code,
//! as `mark_stacks` (`Objects/frameobject.c`) does it for debuggers that want to jump.
//!
//! Up to 3.13 the interpreter keeps the top of a running frame's stack in a register. But the compiler
//! makes code whose depth at an instruction is the same on every way that leads there (`stackdepth`,
//! `Python/compile.c`), so that code and instruction tell it. Only 3.8 is loose: a `finally` is entered
//! with one word or with six. There the larger depth is taken.

use super::exception_table::handlers;
use super::{DecodeError, Objects};
use crate::addr::Addr;
use crate::cpython::layout::{Direction, Instruction, OB_SIZE, Opcode, Opcodes};
use crate::target::memory::Memory;

/// The bytes of an instruction unit: an opcode and the low byte of its argument.
const UNIT: u64 = 2;
/// The most units of a code object that is looked at. A module of a million lines has less.
const MAX_UNITS: u64 = 1 << 22;
/// How often an instruction may be met with a greater depth than before; code that the compiler made
/// needs a few.
const MAX_VISITS: usize = 16;

/// The depths at the instructions of one code object, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depths {
    /// For each unit, the greater of the depths before and behind its instruction.
    of: Vec<Option<u32>>,
}

impl Depths {
    /// How deep the stack may be while the instruction at some byte of the code is done: what it takes
    /// is on the stack yet, or what it gives already. Nothing where no way leads.
    #[must_use]
    pub fn at(&self, instruction: i64) -> Option<u64> {
        let unit = usize::try_from(instruction).ok()? / 2;
        self.of.get(unit).copied().flatten().map(u64::from)
    }
}

impl<M: Memory> Objects<'_, M> {
    /// The depths at the instructions of a code object; nothing if this release's frames say
    /// themselves how deep they are, or if the code makes no sense.
    ///
    /// # Errors
    /// The code cannot be read, or is larger than code can be.
    pub fn stack_depths(&self, code: Addr) -> Result<Option<Depths>, DecodeError> {
        let Some(opcodes) = &self.layout.opcodes else { return Ok(None) };
        let units = self.instructions(code)?;
        let room = self.memory.u32(code + self.layout.at.code.co_stacksize)?;
        let table = self.exception_table(code)?;
        Ok(Flow::new(opcodes, &units, room).run(&table))
    }

    /// The instruction units of a code object, without what tools have put in their place.
    fn instructions(&self, code: Addr) -> Result<Vec<[u8; 2]>, DecodeError> {
        let at = &self.layout.at;
        let (start, len) = match (at.code.co_code, at.code.co_code_adaptive) {
            (Some(co_code), _) => {
                let bytes = self.memory.addr(code + co_code)?;
                (bytes + at.bytes.ob_sval, self.memory.u64(bytes + OB_SIZE)? / UNIT)
            }
            (None, Some(adaptive)) => (code + adaptive, self.memory.u64(code + OB_SIZE)?),
            (None, None) => return Ok(Vec::new()),
        };
        if len > MAX_UNITS {
            let what = "the instructions of a code object";
            return Err(DecodeError::Implausible { what, addr: code, value: len });
        }
        let units = usize::try_from(len).unwrap_or(0);
        let mut units = self.memory.bytes(start, units * 2)?.as_chunks::<2>().0.to_vec();
        self.undo_monitoring(code, &mut units)?;
        Ok(units)
    }

    /// Puts back the opcodes that `sys.monitoring` and `sys.settrace` have replaced (3.12 and 3.13,
    /// `_Py_GetBaseOpcode`, `Python/instrumentation.c`).
    fn undo_monitoring(&self, code: Addr, units: &mut [[u8; 2]]) -> Result<(), DecodeError> {
        let (at, of) = (&self.layout.at.code, &self.layout.at.code_monitoring);
        let (Some(opcodes), Some(monitoring)) = (&self.layout.opcodes, at._co_monitoring) else {
            return Ok(());
        };
        let Some(monitoring) = self.reference(code + monitoring)? else { return Ok(()) };
        let array = |offset: Option<u64>| match offset {
            Some(offset) => self.reference(monitoring + offset),
            None => Ok(None),
        };
        let lines = match array(of.lines)? {
            Some(lines) => self.original_opcodes(lines, units.len())?,
            None => Vec::new(),
        };
        let instructions = match array(of.per_instruction_opcodes)? {
            Some(instructions) => self.memory.bytes(instructions, units.len())?,
            None => Vec::new(),
        };
        for (nth, unit) in units.iter_mut().enumerate() {
            let [opcode, _] = unit;
            if opcodes.get(*opcode) == Some(Opcode::InLines) {
                *opcode = lines.get(nth).copied().unwrap_or(*opcode);
            }
            if opcodes.get(*opcode) == Some(Opcode::InInstructions) {
                *opcode = instructions.get(nth).copied().unwrap_or(*opcode);
            }
        }
        Ok(())
    }

    /// The opcodes in `_PyCoLineInstrumentationData`: an array of pairs, the opcode first; in later
    /// patch releases of 3.13 a byte that says how long an entry is, and the entries.
    fn original_opcodes(&self, lines: Addr, units: usize) -> Result<Vec<u8>, DecodeError> {
        /// A pair of an opcode and the difference of a line.
        const PAIR: usize = 2;
        /// How long an entry can be: an opcode and one to four bytes of a line. What the first pair has
        /// there is 0 or the opcode of a RESUME, which are not among these.
        const LENGTHS: std::ops::RangeInclusive<u8> = 2..=5;
        let first = self.memory.u8(lines)?;
        let (start, len) = match LENGTHS.contains(&first) {
            true => (lines + 1, usize::from(first)),
            false => (lines, PAIR),
        };
        let bytes = self.memory.bytes(start, units * len)?;
        Ok(bytes.chunks_exact(len).filter_map(|entry| entry.first().copied()).collect())
    }
}

/// Follows all ways through a function.
struct Flow<'c> {
    opcodes: &'c Opcodes,
    units: &'c [[u8; 2]],
    /// How deep the stack can be at most (`co_stacksize`).
    room: u32,
    /// The depth before each instruction that was met.
    before: Vec<Option<u32>>,
    deepest: Vec<Option<u32>>,
    left: Vec<usize>,
}

impl<'c> Flow<'c> {
    fn new(opcodes: &'c Opcodes, units: &'c [[u8; 2]], room: u32) -> Self {
        let unknown = vec![None; units.len()];
        Self { opcodes, units, room, before: unknown.clone(), deepest: unknown, left: Vec::new() }
    }

    /// The depths; nothing if the code makes no sense: a way leads out of it, or the stack becomes
    /// deeper than the code itself says.
    fn run(mut self, table: &[u8]) -> Option<Depths> {
        self.reach(0, self.begins_with())?;
        for handler in handlers(table) {
            let exception = 1 + u64::from(handler.with_instruction);
            let depth = i64::try_from(handler.depth.checked_add(exception)?).ok()?;
            self.reach(usize::try_from(handler.target).ok()?, depth)?;
        }
        for _ in 0..self.units.len() * MAX_VISITS {
            let Some(unit) = self.left.pop() else { return Some(Depths { of: self.deepest }) };
            self.step(unit)?;
        }
        self.left.is_empty().then_some(Depths { of: self.deepest })
    }

    /// How deep the stack is at first: what is sent into a generator is there before its first
    /// instruction if that takes it away (`GEN_START`, 3.10, the only one that does so).
    fn begins_with(&self) -> i64 {
        match self.units.first().and_then(|&[opcode, _]| self.instruction(opcode)) {
            Some(first) if !first.ends => (-first.effect.of(0)).max(0),
            _ => 0,
        }
    }

    /// The instruction of an opcode; nothing for one that this release does not have.
    fn instruction(&self, opcode: u8) -> Option<Instruction> {
        match self.opcodes.get(opcode)? {
            Opcode::Instruction(instruction) => Some(instruction),
            Opcode::InLines | Opcode::InInstructions => None,
        }
    }

    /// Notes that a way leads to an instruction; nothing if it cannot.
    fn reach(&mut self, unit: usize, depth: i64) -> Option<()> {
        let depth = u32::try_from(depth).ok().filter(|&depth| depth <= self.room)?;
        let before = self.before.get_mut(unit)?;
        if before.is_none_or(|known| known < depth) {
            *before = Some(depth);
            self.left.push(unit);
        }
        Some(())
    }

    fn note(&mut self, unit: usize, depth: i64) {
        let depth = u32::try_from(depth).ok().filter(|&depth| depth <= self.room);
        if let Some(slot) = self.deepest.get_mut(unit) {
            *slot = (*slot).max(depth);
        }
    }

    /// Goes on behind an instruction.
    fn step(&mut self, mut unit: usize) -> Option<()> {
        let before = i64::from(self.before.get(unit).copied().flatten()?);
        let mut argument = 0_u32;
        let instruction = loop {
            let &[opcode, low] = self.units.get(unit)?;
            // Of what is not known nothing can be said, nor of what only it leads to.
            let Some(instruction) = self.instruction(opcode) else { return Some(()) };
            argument = argument << 8 | u32::from(low);
            if !instruction.extends {
                break instruction;
            }
            self.note(unit, before);
            unit += 1;
        };
        let behind = before + instruction.effect.of(argument);
        self.note(unit, before.max(behind));
        let next = unit + 1 + usize::from(instruction.caches);
        for cache in unit + 1..next {
            self.note(cache, before.max(behind));
        }
        if !instruction.ends {
            self.reach(next, behind)?;
        }
        if let Some(jump) = instruction.jump {
            let distance = usize::try_from(self.opcodes.jump_units(argument)).ok()?;
            let target = match jump.direction {
                Direction::Forward => next.checked_add(distance)?,
                Direction::Backward => next.checked_sub(distance)?,
                Direction::Absolute => distance,
            };
            self.reach(target, before + jump.effect.of(argument))?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depths(
        version: &str,
        units: &[[u8; 2]],
        room: u32,
        table: &[u8],
    ) -> Option<Vec<Option<u32>>> {
        let opcodes = Opcodes::of(version.parse().unwrap()).unwrap().unwrap();
        Flow::new(&opcodes, units, room).run(table).map(|depths| depths.of)
    }

    #[test]
    fn a_loop_comes_back_with_the_same_depth_and_a_handler_begins_with_that_of_its_entry() {
        let code = [
            [151, 0], // RESUME
            [124, 0], // LOAD_FAST a
            [68, 0],  // GET_ITER
            [93, 3],  // FOR_ITER, to LOAD_CONST
            [125, 1], // STORE_FAST x
            [140, 3], // JUMP_BACKWARD, to FOR_ITER
            [9, 0],   // NOP, which nothing leads to
            [100, 0], // LOAD_CONST
            [83, 0],  // RETURN_VALUE
            [35, 0],  // PUSH_EXC_INFO: a handler
            [119, 0], // RERAISE
        ];
        // All instructions unwind to the handler with one word left.
        let table = [0x80, 5, 9, 2];
        let told = depths("3.11.7", &code, 3, &table).unwrap();
        let expected = [0, 1, 1, 2, 2, 1].map(Some).into_iter().chain([
            None,
            Some(1),
            Some(1),
            Some(3),
            Some(3),
        ]);
        assert_eq!(told, expected.collect::<Vec<_>>());
        // The code itself says that there is no room for that.
        assert_eq!(depths("3.11.7", &code, 2, &table), None);
    }

    #[test]
    fn a_long_argument_and_what_a_call_takes() {
        // BUILD_TUPLE of 0x101 items is out of a stack of two.
        let code = [[144, 1], [102, 1], [83, 0]];
        assert_eq!(depths("3.9.18", &code, 600, &[]), None);
        let load = [[100, 0]; 3];
        let call = [[144, 0], [131, 2], [83, 0]];
        let told = depths("3.9.18", &[&load[..], &call[..]].concat(), 3, &[]).unwrap();
        assert_eq!(told, [1, 2, 3, 3, 3, 1].map(Some));
        // 3.11: PRECALL leaves them, and behind CALL there are caches.
        let code = [
            [100, 0],
            [100, 0],
            [100, 0],
            [166, 1],
            [0, 0],
            [171, 1],
            [0; 2],
            [0; 2],
            [0; 2],
            [0; 2],
            [83, 0],
        ];
        let told = depths("3.11.2", &code, 3, &[]).unwrap();
        assert_eq!(told, [1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 1].map(Some));
    }

    #[test]
    fn a_generator_of_3_10_begins_with_what_is_sent() {
        // GEN_START, LOAD_CONST, YIELD_VALUE, RETURN_VALUE.
        let told = depths("3.10.13", &[[129, 0], [100, 0], [86, 0], [83, 0]], 1, &[]);
        assert_eq!(told, Some(vec![Some(1); 4]));
    }

    #[test]
    fn of_an_unknown_opcode_and_what_it_leads_to_nothing_is_said() {
        // POP_JUMP_IF_TRUE over it.
        let told =
            depths("3.9.18", &[[100, 0], [115, 8], [255, 0], [9, 0], [100, 0], [83, 0]], 1, &[]);
        assert_eq!(told, Some(vec![Some(1), Some(1), None, None, Some(1), Some(1)]));
    }

    #[test]
    fn code_without_an_end_or_with_a_stack_that_only_grows_makes_no_sense() {
        assert_eq!(depths("3.9.18", &[[9, 0]], 1, &[]), None);
        assert_eq!(depths("3.9.18", &[[113, 100]], 1, &[]), None);
        // LOAD_CONST, JUMP_ABSOLUTE 0: the room is never full within the bound.
        assert_eq!(depths("3.9.18", &[[100, 0], [113, 0]], u32::MAX, &[]), None);
    }

    proptest::proptest! {
        #[test]
        fn no_code_makes_it_panic(code: Vec<[u8; 2]>, room: u32, table: Vec<u8>) {
            for version in ["3.8.1", "3.9.1", "3.10.1", "3.11.1", "3.12.1", "3.13.1"] {
                let _ = depths(version, &code, room, &table);
            }
        }
    }
}
