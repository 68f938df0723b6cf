//! Operands of instructions: registers of every width, memory, constants.

use iced_x86::{Instruction, OpKind, Register};

use super::Stuck;
use super::machine::Machine;
use crate::addr::Addr;
use crate::target::memory::Memory;

/// The bits of a number of so many bytes.
pub(super) const fn mask(bytes: usize) -> u64 {
    if bytes >= 8 { u64::MAX } else { (1 << (bytes * 8)) - 1 }
}

/// The sign bit of a number of so many bytes.
pub(super) const fn sign_bit(bytes: usize) -> u64 {
    1 << (bytes * 8 - 1)
}

/// A number of so many bytes, with its sign continued.
pub(super) const fn extend(value: u64, bytes: usize) -> u64 {
    let sign = sign_bit(bytes);
    ((value & mask(bytes)) ^ sign).wrapping_sub(sign)
}

impl<M: Memory> Machine<'_, M> {
    fn unknown(&self) -> Stuck {
        Stuck::Instruction(Addr(self.instruction))
    }

    /// The number of a general register, and whether it is the second byte of one (`ah`).
    fn number(&self, register: Register) -> Result<(usize, bool), Stuck> {
        if !register.is_gpr() {
            return Err(self.unknown());
        }
        let high = matches!(register, Register::AH | Register::CH | Register::DH | Register::BH);
        Ok((register.full_register().number(), high))
    }

    pub(super) fn register(&self, register: Register) -> Result<u64, Stuck> {
        let (number, high) = self.number(register)?;
        let value = self.get(number);
        Ok((if high { value >> 8 } else { value }) & mask(register.size()))
    }

    /// Sets a register: 32 bits clear the upper half, fewer leave the rest.
    pub(super) fn set_register(&mut self, register: Register, value: u64) -> Result<(), Stuck> {
        let (number, high) = self.number(register)?;
        let before = self.get(number);
        let value = match register.size() {
            8 => value,
            4 => value & mask(4),
            _ if high => before & !0xFF00 | (value & 0xFF) << 8,
            size => before & !mask(size) | value & mask(size),
        };
        self.set(number, value);
        Ok(())
    }

    /// The address of a memory operand.
    pub(super) fn address(&self, instruction: &Instruction) -> Result<u64, Stuck> {
        if instruction.is_ip_rel_memory_operand() {
            return Ok(instruction.ip_rel_memory_address());
        }
        let part = |register: Register| match register {
            Register::None => Ok(0),
            register => self.register(register),
        };
        let index = part(instruction.memory_index())?;
        let scaled = index.wrapping_mul(u64::from(instruction.memory_index_scale()));
        let segment = match instruction.segment_prefix() {
            Register::FS => self.thread_pointer,
            Register::GS => return Err(self.unknown()),
            _ => 0,
        };
        let base = part(instruction.memory_base())?;
        let displacement = instruction.memory_displacement64();
        Ok(segment.wrapping_add(base).wrapping_add(scaled).wrapping_add(displacement))
    }

    /// The width of an operand, in bytes.
    pub(super) fn width(&self, instruction: &Instruction, nth: u32) -> Result<usize, Stuck> {
        match instruction.op_kind(nth) {
            OpKind::Register => Ok(instruction.op_register(nth).size()),
            OpKind::Memory => match instruction.memory_size().size() {
                0 => Err(self.unknown()),
                size => Ok(size),
            },
            // A constant has the width of what it meets.
            _ => Ok(8),
        }
    }

    /// The value of an operand of up to eight bytes.
    pub(super) fn value(&self, instruction: &Instruction, nth: u32) -> Result<u64, Stuck> {
        match instruction.op_kind(nth) {
            OpKind::Register => self.register(instruction.op_register(nth)),
            OpKind::Memory => Ok(u64::from_le_bytes(self.read_operand(instruction, nth)?)),
            OpKind::Immediate8
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate32to64
            | OpKind::Immediate64 => Ok(instruction.immediate(nth)),
            _ => Err(self.unknown()),
        }
    }

    /// Stores a value of up to eight bytes into an operand.
    pub(super) fn store(
        &mut self,
        instruction: &Instruction,
        nth: u32,
        value: u64,
    ) -> Result<(), Stuck> {
        match instruction.op_kind(nth) {
            OpKind::Register => self.set_register(instruction.op_register(nth), value),
            OpKind::Memory => self.write_operand(instruction, nth, &value.to_le_bytes()),
            _ => Err(self.unknown()),
        }
    }

    /// The value of a vector operand, or of a general one in its lowest bytes.
    pub(super) fn vector(&self, instruction: &Instruction, nth: u32) -> Result<u128, Stuck> {
        match instruction.op_kind(nth) {
            OpKind::Register if instruction.op_register(nth).is_xmm() => {
                let number = instruction.op_register(nth).number();
                self.vectors.get(number).copied().ok_or_else(|| self.unknown())
            }
            OpKind::Memory => Ok(u128::from_le_bytes(self.read_operand(instruction, nth)?)),
            _ => self.value(instruction, nth).map(u128::from),
        }
    }

    /// Stores a vector into an operand, as much of it as the operand has room for.
    pub(super) fn store_vector(
        &mut self,
        instruction: &Instruction,
        nth: u32,
        value: u128,
    ) -> Result<(), Stuck> {
        match instruction.op_kind(nth) {
            OpKind::Register if instruction.op_register(nth).is_xmm() => {
                let unknown = self.unknown();
                let number = instruction.op_register(nth).number();
                *self.vectors.get_mut(number).ok_or(unknown)? = value;
                Ok(())
            }
            OpKind::Memory => self.write_operand(instruction, nth, &value.to_le_bytes()),
            _ => self.store(
                instruction,
                nth,
                u64::try_from(value & u128::from(u64::MAX)).unwrap_or(0),
            ),
        }
    }

    /// The bytes of an operand in memory, with zeros behind them.
    fn read_operand<const N: usize>(
        &self,
        instruction: &Instruction,
        nth: u32,
    ) -> Result<[u8; N], Stuck> {
        let mut bytes = [0; N];
        let width = self.width(instruction, nth)?;
        let buf = bytes.get_mut(..width).ok_or_else(|| self.unknown())?;
        self.read(self.address(instruction)?, buf)?;
        Ok(bytes)
    }

    /// Stores as many bytes into an operand in memory as it has room for.
    fn write_operand(
        &mut self,
        instruction: &Instruction,
        nth: u32,
        bytes: &[u8],
    ) -> Result<(), Stuck> {
        let width = self.width(instruction, nth)?;
        let at = self.address(instruction)?;
        let bytes = bytes.get(..width).ok_or_else(|| self.unknown())?;
        self.write(at, bytes)
    }
}
