//! What each instruction does. Only what compilers emit for functions that look at structures.

use iced_x86::{ConditionCode, FlowControl, Instruction, Mnemonic, OpKind};

use super::machine::{Flags, Machine, RAX, RDI, RETURN, RSI, RSP, VISIT};
use super::operand::{extend, mask, sign_bit};
use super::{Code, Stuck};
use crate::addr::Addr;
use crate::target::memory::Memory;

/// Follows code until it returns to its caller. Takes the steps that it needs from `steps`.
pub(super) fn run<M: Memory>(
    machine: &mut Machine<'_, M>,
    code: &Code,
    steps: &mut u64,
    visit: &mut impl FnMut(Addr),
) -> Result<(), Stuck> {
    loop {
        match machine.instruction {
            RETURN => return Ok(()),
            VISIT => {
                visit(Addr(machine.get(RDI)));
                machine.set(RAX, 0);
                machine.instruction = machine.pop()?;
                continue;
            }
            at if code.int_makers.contains(&Addr(at)) => {
                machine.make_int()?;
                machine.instruction = machine.pop()?;
                continue;
            }
            at if at == code.strcmp.0 && at != 0 => {
                let order = machine.compare_strings(steps)?;
                machine.set(RAX, order);
                machine.instruction = machine.pop()?;
                continue;
            }
            _ => {}
        }
        let block = code.block(machine.memory(), machine.instruction)?;
        for instruction in &block.instructions {
            take(steps)?;
            machine.instruction = instruction.ip();
            if instruction.flow_control() == FlowControl::Next {
                machine.step(instruction)?;
                machine.instruction = instruction.next_ip();
            } else {
                machine.jump(instruction)?;
            }
        }
    }
}

/// Takes one step of those that are left.
fn take(steps: &mut u64) -> Result<(), Stuck> {
    *steps = steps.checked_sub(1).ok_or(Stuck::Steps)?;
    Ok(())
}

impl<M: Memory> Machine<'_, M> {
    /// `strcmp(rdi, rsi)`, as the number that it returns.
    fn compare_strings(&self, steps: &mut u64) -> Result<u64, Stuck> {
        /// Names of capsules and types are shorter.
        const MAX_BYTES: u64 = 1 << 12;
        for nth in 0..MAX_BYTES {
            take(steps)?;
            let (mut a, mut b) = ([0], [0]);
            self.read(self.get(RDI).wrapping_add(nth), &mut a)?;
            self.read(self.get(RSI).wrapping_add(nth), &mut b)?;
            let ([a], [b]) = (a, b);
            if a != b || a == 0 {
                return Ok((i64::from(a) - i64::from(b)).cast_unsigned() & mask(4));
            }
        }
        Err(Stuck::Steps)
    }

    fn is_not_known<T>(&self) -> Result<T, Stuck> {
        Err(Stuck::Instruction(Addr(self.instruction)))
    }

    /// An instruction after which another than the next may follow.
    fn jump(&mut self, instruction: &Instruction) -> Result<(), Stuck> {
        let target = match instruction.op0_kind() {
            OpKind::NearBranch64 => instruction.near_branch_target(),
            OpKind::Register | OpKind::Memory if instruction.op_count() > 0 => {
                self.value(instruction, 0)?
            }
            _ => 0,
        };
        let next = instruction.next_ip();
        self.instruction = match instruction.flow_control() {
            FlowControl::UnconditionalBranch | FlowControl::IndirectBranch => target,
            FlowControl::ConditionalBranch => match instruction.condition_code() {
                ConditionCode::None => return self.is_not_known(),
                condition if self.holds(condition) => target,
                _ => next,
            },
            // `syscall` and `int` are calls to iced, too.
            FlowControl::Call | FlowControl::IndirectCall
                if instruction.mnemonic() == Mnemonic::Call =>
            {
                self.push(next)?;
                target
            }
            FlowControl::Return => {
                let back = self.pop()?;
                if instruction.op_count() > 0 {
                    let dropped = instruction.immediate(0);
                    self.set(RSP, self.get(RSP).wrapping_add(dropped));
                }
                back
            }
            _ => return self.is_not_known(),
        };
        Ok(())
    }

    fn holds(&self, condition: ConditionCode) -> bool {
        let Flags { carry, zero, sign, overflow, parity } = self.flags;
        match condition {
            ConditionCode::o => overflow,
            ConditionCode::no => !overflow,
            ConditionCode::b => carry,
            ConditionCode::ae => !carry,
            ConditionCode::e => zero,
            ConditionCode::ne => !zero,
            ConditionCode::be => carry || zero,
            ConditionCode::a => !carry && !zero,
            ConditionCode::s => sign,
            ConditionCode::ns => !sign,
            ConditionCode::p => parity,
            ConditionCode::np => !parity,
            ConditionCode::l => sign != overflow,
            ConditionCode::ge => sign == overflow,
            ConditionCode::le => zero || sign != overflow,
            ConditionCode::g => !zero && sign == overflow,
            ConditionCode::None => true,
        }
    }

    /// An instruction after which the next one follows.
    fn step(&mut self, instruction: &Instruction) -> Result<(), Stuck> {
        match instruction.mnemonic() {
            Mnemonic::Nop | Mnemonic::Endbr64 | Mnemonic::Prefetcht0 | Mnemonic::Pause => Ok(()),
            Mnemonic::Mov | Mnemonic::Movzx => {
                let value = self.value(instruction, 1)?;
                self.store(instruction, 0, value)
            }
            Mnemonic::Movsx | Mnemonic::Movsxd => {
                let width = self.width(instruction, 1)?;
                let value = extend(self.value(instruction, 1)?, width);
                self.store(instruction, 0, value)
            }
            Mnemonic::Lea => {
                let at = self.address(instruction)?;
                self.store(instruction, 0, at)
            }
            Mnemonic::Push => {
                let value = self.value(instruction, 0)?;
                self.push(value)
            }
            Mnemonic::Pop => {
                let value = self.pop()?;
                self.store(instruction, 0, value)
            }
            Mnemonic::Leave => {
                self.set(RSP, self.get(5));
                let frame = self.pop()?;
                self.set(5, frame);
                Ok(())
            }
            Mnemonic::Xchg => {
                let (first, second) = (self.value(instruction, 0)?, self.value(instruction, 1)?);
                self.store(instruction, 0, second)?;
                self.store(instruction, 1, first)
            }
            Mnemonic::Cwde => {
                let value = extend(self.get(RAX), 2) & mask(4);
                self.set(RAX, value);
                Ok(())
            }
            Mnemonic::Cdqe => {
                let value = extend(self.get(RAX), 4);
                self.set(RAX, value);
                Ok(())
            }
            Mnemonic::Cdq => {
                let sign = self.get(RAX) & sign_bit(4) != 0;
                self.set(2, if sign { mask(4) } else { 0 });
                Ok(())
            }
            Mnemonic::Cqo => {
                let sign = self.get(RAX) & sign_bit(8) != 0;
                self.set(2, if sign { u64::MAX } else { 0 });
                Ok(())
            }
            _ if instruction.condition_code() != ConditionCode::None => {
                self.conditional(instruction)
            }
            _ => self.arithmetic(instruction),
        }
    }

    /// `cmovcc` and `setcc`.
    fn conditional(&mut self, instruction: &Instruction) -> Result<(), Stuck> {
        let holds = self.holds(instruction.condition_code());
        match instruction.op_count() {
            1 => self.store(instruction, 0, u64::from(holds)),
            2 => {
                // A 32-bit register loses its upper half either way.
                let nth = if holds { 1 } else { 0 };
                let value = self.value(instruction, nth)?;
                self.store(instruction, 0, value)
            }
            _ => self.is_not_known(),
        }
    }

    fn arithmetic(&mut self, instruction: &Instruction) -> Result<(), Stuck> {
        let mnemonic = instruction.mnemonic();
        match mnemonic {
            Mnemonic::Add | Mnemonic::Adc | Mnemonic::Sub | Mnemonic::Sbb | Mnemonic::Cmp => {
                let width = self.width(instruction, 0)?;
                let (a, b) = (self.value(instruction, 0)?, self.value(instruction, 1)?);
                let carry = u64::from(self.flags.carry);
                let result = match mnemonic {
                    Mnemonic::Add => self.sum(a, b, 0, width),
                    Mnemonic::Adc => self.sum(a, b, carry, width),
                    Mnemonic::Sbb => self.difference(a, b, carry, width),
                    _ => self.difference(a, b, 0, width),
                };
                if mnemonic == Mnemonic::Cmp { Ok(()) } else { self.store(instruction, 0, result) }
            }
            Mnemonic::And | Mnemonic::Or | Mnemonic::Xor | Mnemonic::Test => {
                let width = self.width(instruction, 0)?;
                let (a, b) = (self.value(instruction, 0)?, self.value(instruction, 1)?);
                let result = match mnemonic {
                    Mnemonic::Or => a | b,
                    Mnemonic::Xor => a ^ b,
                    _ => a & b,
                };
                self.flags = Flags::default();
                self.mark(result, width);
                if mnemonic == Mnemonic::Test { Ok(()) } else { self.store(instruction, 0, result) }
            }
            Mnemonic::Inc | Mnemonic::Dec | Mnemonic::Neg | Mnemonic::Not => {
                let width = self.width(instruction, 0)?;
                let a = self.value(instruction, 0)?;
                let carry = self.flags.carry;
                let result = match mnemonic {
                    Mnemonic::Inc => self.sum(a, 1, 0, width),
                    Mnemonic::Dec => self.difference(a, 1, 0, width),
                    Mnemonic::Neg => self.difference(0, a, 0, width),
                    _ => !a,
                };
                if mnemonic != Mnemonic::Neg {
                    self.flags.carry = carry;
                }
                self.store(instruction, 0, result)
            }
            Mnemonic::Shl | Mnemonic::Sal | Mnemonic::Shr | Mnemonic::Sar => {
                self.shift(instruction)
            }
            Mnemonic::Imul => self.multiply(instruction),
            Mnemonic::Bt => {
                let width = self.width(instruction, 0)?;
                if instruction.op0_kind() != OpKind::Register {
                    return self.is_not_known();
                }
                let bit = self.value(instruction, 1)? % (width as u64 * 8);
                self.flags.carry = self.value(instruction, 0)? >> bit & 1 != 0;
                Ok(())
            }
            Mnemonic::Tzcnt | Mnemonic::Bsf | Mnemonic::Bsr => self.count_bits(instruction),
            _ => self.vector_step(instruction),
        }
    }

    /// Zero, sign and parity of a result.
    fn mark(&mut self, result: u64, width: usize) {
        let result = result & mask(width);
        self.flags.zero = result == 0;
        self.flags.sign = result & sign_bit(width) != 0;
        self.flags.parity = (result & 0xFF).count_ones().is_multiple_of(2);
    }

    fn sum(&mut self, a: u64, b: u64, carry: u64, width: usize) -> u64 {
        let (a, b) = (a & mask(width), b & mask(width));
        let result = a.wrapping_add(b).wrapping_add(carry) & mask(width);
        self.flags.carry =
            u128::from(a) + u128::from(b) + u128::from(carry) > u128::from(mask(width));
        self.flags.overflow = (a ^ result) & (b ^ result) & sign_bit(width) != 0;
        self.mark(result, width);
        result
    }

    fn difference(&mut self, a: u64, b: u64, borrow: u64, width: usize) -> u64 {
        let (a, b) = (a & mask(width), b & mask(width));
        let result = a.wrapping_sub(b).wrapping_sub(borrow) & mask(width);
        self.flags.carry = u128::from(a) < u128::from(b) + u128::from(borrow);
        self.flags.overflow = (a ^ b) & (a ^ result) & sign_bit(width) != 0;
        self.mark(result, width);
        result
    }

    fn shift(&mut self, instruction: &Instruction) -> Result<(), Stuck> {
        let width = self.width(instruction, 0)?;
        let bits = width as u64 * 8;
        let count = self.value(instruction, 1)? & if width == 8 { 63 } else { 31 };
        if count == 0 {
            // Flags stay, but a 32-bit register still loses its upper half.
            let value = self.value(instruction, 0)?;
            return self.store(instruction, 0, value);
        }
        let a = self.value(instruction, 0)? & mask(width);
        let out = |value: u64, at: u64| at < 64 && value >> at & 1 != 0;
        let (result, carry) = match instruction.mnemonic() {
            Mnemonic::Shr => (a >> count, out(a, count - 1)),
            Mnemonic::Sar => {
                let signed = extend(a, width).cast_signed() >> count;
                (signed.cast_unsigned(), out(extend(a, width), count - 1))
            }
            _ => (a << count, count <= bits && out(a, bits - count)),
        };
        self.flags.carry = carry;
        self.flags.overflow = false;
        self.mark(result, width);
        self.store(instruction, 0, result)
    }

    fn multiply(&mut self, instruction: &Instruction) -> Result<(), Stuck> {
        let width = self.width(instruction, 0)?;
        let signed = |value: u64| i128::from(extend(value, width).cast_signed());
        let (a, b) = match instruction.op_count() {
            2 => (self.value(instruction, 0)?, self.value(instruction, 1)?),
            3 => (self.value(instruction, 1)?, self.value(instruction, 2)?),
            _ => return self.is_not_known(),
        };
        let product = signed(a) * signed(b);
        let low = u64::try_from(product.cast_unsigned() & u128::from(u64::MAX)).unwrap_or(0);
        let result = low & mask(width);
        self.flags.carry = signed(result) != product;
        self.flags.overflow = self.flags.carry;
        self.store(instruction, 0, result)
    }

    fn count_bits(&mut self, instruction: &Instruction) -> Result<(), Stuck> {
        let width = self.width(instruction, 0)?;
        let value = self.value(instruction, 1)? & mask(width);
        self.flags.zero = value == 0;
        let result = match (instruction.mnemonic(), value) {
            (Mnemonic::Tzcnt, 0) => {
                self.flags.carry = true;
                width as u64 * 8
            }
            (_, 0) => return Ok(()),
            (Mnemonic::Bsr, _) => 63 - u64::from(value.leading_zeros()),
            (mnemonic, _) => {
                if mnemonic == Mnemonic::Tzcnt {
                    self.flags.carry = false;
                    self.flags.zero = value & 1 != 0;
                }
                u64::from(value.trailing_zeros())
            }
        };
        self.store(instruction, 0, result)
    }

    /// Copies through vector registers, as compilers make them of neighbouring fields.
    fn vector_step(&mut self, instruction: &Instruction) -> Result<(), Stuck> {
        let low = u128::from(u64::MAX);
        let result = match instruction.mnemonic() {
            Mnemonic::Movups
            | Mnemonic::Movaps
            | Mnemonic::Movupd
            | Mnemonic::Movapd
            | Mnemonic::Movdqu
            | Mnemonic::Movdqa
            | Mnemonic::Movq
            | Mnemonic::Movd => self.vector(instruction, 1)?,
            Mnemonic::Pxor | Mnemonic::Xorps | Mnemonic::Xorpd => {
                self.vector(instruction, 0)? ^ self.vector(instruction, 1)?
            }
            Mnemonic::Por | Mnemonic::Orps => {
                self.vector(instruction, 0)? | self.vector(instruction, 1)?
            }
            Mnemonic::Pand | Mnemonic::Andps => {
                self.vector(instruction, 0)? & self.vector(instruction, 1)?
            }
            Mnemonic::Punpcklqdq | Mnemonic::Movlhps => {
                self.vector(instruction, 0)? & low | self.vector(instruction, 1)? << 64
            }
            Mnemonic::Movhlps => {
                self.vector(instruction, 0)? & !low | self.vector(instruction, 1)? >> 64
            }
            Mnemonic::Movhps if instruction.op0_kind() == OpKind::Register => {
                self.vector(instruction, 0)? & low | self.vector(instruction, 1)? << 64
            }
            Mnemonic::Movhps => self.vector(instruction, 1)? >> 64,
            Mnemonic::Movlps if instruction.op0_kind() == OpKind::Register => {
                self.vector(instruction, 0)? & !low | self.vector(instruction, 1)? & low
            }
            Mnemonic::Movlps => self.vector(instruction, 1)? & low,
            _ => return self.is_not_known(),
        };
        // `movq` between registers clears the rest of the target.
        let narrow = matches!(instruction.mnemonic(), Mnemonic::Movq);
        self.store_vector(instruction, 0, if narrow { result & low } else { result })
    }
}
