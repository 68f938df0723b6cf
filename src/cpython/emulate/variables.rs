//! The variables that a function's code names, for those that are no symbols.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, OpKind, Register};

use crate::addr::Addr;
use crate::target::memory::Memory;

/// A variable that code reads or writes by its distance from the instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Where it is.
    pub at: Addr,
    /// How many bytes of it the code handles at once.
    pub bytes: usize,
}

/// How much of a function is looked at, in bytes: small functions are meant.
const LONGEST: usize = 256;

/// The variables that the code of a small function names, each once, in order. What the function
/// calls is not looked at, nor is code that was moved away from it.
///
/// Gives nothing on machines of another kind, and for code that cannot be read.
#[must_use]
pub fn variables(memory: &impl Memory, function: Addr) -> Vec<Variable> {
    let mut found: Vec<Variable> = Vec::new();
    if cfg!(not(target_arch = "x86_64")) {
        return found;
    }
    let Ok(bytes) = memory.bytes(function, LONGEST) else { return found };
    let mut decoder = Decoder::with_ip(64, &bytes, function.0, DecoderOptions::NONE);
    let end = function.0.saturating_add(LONGEST as u64);
    // As long as an earlier jump leads beyond an instruction, the function has not ended there.
    let mut furthest = function.0;
    while decoder.can_decode() {
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            break;
        }
        if let Some(variable) = variable(&instruction)
            && !found.contains(&variable)
        {
            found.push(variable);
        }
        let flow = instruction.flow_control();
        let target = instruction.near_branch_target();
        if matches!(flow, FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch)
            && target < end
        {
            furthest = furthest.max(target);
        }
        let ends = matches!(
            flow,
            FlowControl::Return | FlowControl::UnconditionalBranch | FlowControl::IndirectBranch
        );
        if ends && instruction.next_ip() > furthest {
            break;
        }
    }
    found
}

fn variable(instruction: &Instruction) -> Option<Variable> {
    let is_memory =
        (0..instruction.op_count()).any(|nth| instruction.op_kind(nth) == OpKind::Memory);
    (is_memory && instruction.memory_base() == Register::RIP).then(|| Variable {
        at: Addr(instruction.memory_displacement64()),
        bytes: instruction.memory_size().size(),
    })
}
