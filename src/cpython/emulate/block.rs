//! Straight runs of instructions, decoded once.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction};

use super::Stuck;
use crate::addr::Addr;
use crate::target::memory::Memory;

/// Instructions that follow each other; only the last may jump.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) instructions: Box<[Instruction]>,
}

/// The longest instruction of x86, in bytes.
const LONGEST: usize = 15;
/// How much is decoded at once at most, in bytes: more than any run without a jump.
const WINDOW: usize = 512;

impl Block {
    /// Decodes from an address up to a jump, or as far as is worth it.
    pub(super) fn decode(memory: &impl Memory, at: u64) -> Result<Self, Stuck> {
        let bytes = window(memory, at)?;
        let mut decoder = Decoder::with_ip(64, &bytes, at, DecoderOptions::NONE);
        let mut instructions = Vec::new();
        while decoder.can_decode() {
            // An instruction that the window may have cut is the next block's.
            if decoder.position() + LONGEST > bytes.len() && !instructions.is_empty() {
                break;
            }
            let instruction = decoder.decode();
            if instruction.is_invalid() {
                break;
            }
            let goes_on = instruction.flow_control() == FlowControl::Next;
            instructions.push(instruction);
            if !goes_on {
                break;
            }
        }
        if instructions.is_empty() {
            return Err(Stuck::Instruction(Addr(at)));
        }
        Ok(Self { instructions: instructions.into_boxed_slice() })
    }
}

/// As many bytes of code as there are, up to the window.
fn window(memory: &impl Memory, at: u64) -> Result<Vec<u8>, Stuck> {
    /// The unit of what is mapped.
    const PAGE: usize = 4096;
    let left = PAGE - usize::try_from(at % PAGE as u64).unwrap_or(0);
    memory
        .bytes(Addr(at), WINDOW)
        .or_else(|_| memory.bytes(Addr(at), WINDOW.min(left)))
        .map_err(|_| Stuck::Memory(Addr(at)))
}
