//! What each instruction does to the evaluation stack, and where it may go on, of one release: from
//! a table.
//!
//! Only releases up to 3.13 are in it. From 3.14 on a frame says itself how deep its stack is.

use super::table::BadRow;
use crate::cpython::version::Version;

/// The table itself.
const OPCODES: &str = include_str!("opcodes.txt");

/// What an opcode stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opcode {
    /// An instruction.
    Instruction(Instruction),
    /// Another opcode, which the lines of `_PyCoMonitoringData` have: tools look at this line.
    InLines,
    /// Another opcode, which `per_instruction_opcodes` of `_PyCoMonitoringData` has.
    InInstructions,
}

/// What an instruction does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// The units behind it that are caches and no instructions.
    pub caches: u8,
    /// What it does to the stack where the next instruction follows.
    pub effect: Effect,
    /// Where else it may go on.
    pub jump: Option<Jump>,
    /// Whether the next instruction never follows.
    pub ends: bool,
    /// Whether it is no instruction but the upper part of the next one's argument (`EXTENDED_ARG`).
    pub extends: bool,
}

/// A jump to another instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Jump {
    /// From where its argument counts.
    pub direction: Direction,
    /// What the instruction does to the stack if it jumps.
    pub effect: Effect,
}

/// From where the argument of a jump counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From behind the instruction, forwards.
    Forward,
    /// From behind the instruction, backwards.
    Backward,
    /// From the beginning of the code.
    Absolute,
}

/// By how many words the stack grows, as a formula of the instruction's argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Effect {
    constant: i32,
    /// For each of the argument's low byte.
    low: i32,
    /// For each of what is above that.
    high: i32,
    /// For each of these bits of the argument that is set.
    bits: u32,
    bit: i32,
}

impl Effect {
    /// By how many words the stack grows; negative where it shrinks.
    #[must_use]
    pub fn of(self, argument: u32) -> i64 {
        let set = (argument & self.bits).count_ones();
        i64::from(self.constant)
            + i64::from(self.low) * i64::from(argument & 0xFF)
            + i64::from(self.high) * i64::from(argument >> 8)
            + i64::from(self.bit) * i64::from(set)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut effect = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            let is_sign = |&(_, byte): &(usize, u8)| byte == b'+' || byte == b'-';
            let end =
                rest.bytes().enumerate().skip(1).find(is_sign).map_or(rest.len(), |(at, _)| at);
            let (term, after) = rest.split_at_checked(end)?;
            let unit_at = term.find(|letter: char| letter.is_ascii_alphabetic());
            let (number, unit) = term.split_at_checked(unit_at.unwrap_or(term.len()))?;
            let number: i32 = number.parse().ok()?;
            match unit {
                "" => effect.constant = number,
                "a" => (effect.low, effect.high) = (number, number.checked_mul(256)?),
                "l" => effect.low = number,
                "h" => effect.high = number,
                bit => {
                    effect.bits |= bit.strip_prefix('b')?.parse::<u32>().ok()?;
                    effect.bit = number;
                }
            }
            rest = after;
        }
        Some(effect)
    }
}

/// The instructions of one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opcodes {
    of: Vec<Option<Opcode>>,
    /// How many instruction units the argument of a jump counts as one, as a divisor: it counts bytes
    /// up to 3.9.
    jump_divisor: u32,
}

impl Opcodes {
    /// The instructions of a release; nothing if its frames say themselves how deep their stacks are.
    ///
    /// # Errors
    /// The table has a line that cannot be read.
    pub fn of(version: Version) -> Result<Option<Self>, BadRow> {
        let mut found: Option<Self> = None;
        let mut names: Vec<(&str, Opcode)> = Vec::new();
        for (index, text) in OPCODES.lines().enumerate() {
            let bad = || BadRow { line: index + 1, text: text.to_owned() };
            let mut words = text.split('#').next().unwrap_or("").split_whitespace();
            let Some(name) = words.next() else { continue };
            if name == "version" {
                if found.is_some() {
                    break;
                }
                let of: Version =
                    words.next().and_then(|word| word.parse().ok()).ok_or_else(bad)?;
                if (of.major, of.minor) == (version.major, version.minor) {
                    let jump_divisor = if words.next() == Some("bytes") { 2 } else { 1 };
                    found = Some(Self { of: vec![None; 256], jump_divisor });
                }
            } else if let Some(opcodes) = &mut found {
                let number: u8 = words.next().and_then(|word| word.parse().ok()).ok_or_else(bad)?;
                let opcode = opcode(name, words, &names).ok_or_else(bad)?;
                names.push((name, opcode));
                if let Some(slot) = opcodes.of.get_mut(usize::from(number)) {
                    *slot = Some(opcode);
                }
            }
        }
        Ok(found)
    }

    /// What an opcode stands for; nothing if this release has none of that number.
    #[must_use]
    pub fn get(&self, number: u8) -> Option<Opcode> {
        self.of.get(usize::from(number)).copied().flatten()
    }

    /// How many instruction units a jump of some argument leads away.
    #[must_use]
    pub const fn jump_units(&self, argument: u32) -> u32 {
        argument / self.jump_divisor
    }
}

/// What a row says behind its number.
fn opcode<'a>(
    name: &str,
    mut words: impl Iterator<Item = &'a str>,
    names: &[(&str, Opcode)],
) -> Option<Opcode> {
    let caches = match words.next()? {
        "=" => {
            let base = words.next()?;
            return names.iter().find(|(name, _)| *name == base).map(|&(_, opcode)| opcode);
        }
        "@" => {
            return match words.next()? {
                "lines" => Some(Opcode::InLines),
                "per_instruction_opcodes" => Some(Opcode::InInstructions),
                _ => None,
            };
        }
        caches => caches.parse().ok()?,
    };
    let effect = Effect::parse(words.next()?)?;
    let mut instruction =
        Instruction { caches, effect, jump: None, ends: false, extends: name == "EXTENDED_ARG" };
    while let Some(word) = words.next() {
        let direction = match word {
            "forward" => Direction::Forward,
            "backward" => Direction::Backward,
            "absolute" => Direction::Absolute,
            "ends" => {
                instruction.ends = true;
                continue;
            }
            _ => return None,
        };
        instruction.jump = Some(Jump { direction, effect: Effect::parse(words.next()?)? });
    }
    Some(Opcode::Instruction(instruction))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(version: &str, number: u8) -> Instruction {
        let opcodes = Opcodes::of(version.parse().unwrap()).unwrap().unwrap();
        match opcodes.get(number) {
            Some(Opcode::Instruction(instruction)) => instruction,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_release_whose_frames_do_not_say_how_deep_they_are_has_a_section() {
        for minor in 8..=15 {
            let opcodes = Opcodes::of(Version::new(3, minor, 1)).unwrap();
            let rows = opcodes.map_or(0, |opcodes| opcodes.of.iter().flatten().count());
            assert_eq!(rows > 100, minor <= 13, "3.{minor} has {rows} opcodes");
        }
    }

    #[test]
    fn a_formula_is_a_sum() {
        let effect = |text: &str, argument| Effect::parse(text).unwrap().of(argument);
        assert_eq!(effect("-1", 7), -1);
        assert_eq!(effect("1-2a", 0x103), 1 - 2 * 0x103);
        assert_eq!(effect("0+1l+1h", 0x203), 5);
        assert_eq!(effect("-1-1b1-1b2-1b4-1b8", 0b1101), -4);
        for text in ["x", "1+", "1+2c", "1a2"] {
            assert_eq!(Effect::parse(text), None, "{text}");
        }
    }

    #[test]
    fn rows_say_caches_jumps_and_what_stands_for_what() {
        let for_iter = instruction("3.11.2", 93);
        assert_eq!(for_iter.jump.map(|jump| jump.effect.of(0)), Some(-1));
        // LOAD_GLOBAL, and a form of it that is specialised.
        assert_eq!(instruction("3.13.0", 91).caches, 4);
        assert_eq!(instruction("3.13.0", 203), instruction("3.13.0", 91));
        assert!(instruction("3.12.1", 144).extends && !instruction("3.12.1", 116).extends);
        let of = |version: &str| Opcodes::of(version.parse().unwrap()).unwrap().unwrap();
        assert_eq!(of("3.12.1").get(254), Some(Opcode::InLines));
        assert_eq!((of("3.9.18").jump_units(8), of("3.10.13").jump_units(8)), (4, 8));
        assert_eq!(of("3.8.18").get(255), None);
    }
}
