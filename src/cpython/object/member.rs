//! Members and methods that C code gives a type (`Objects/descrobject.c`).

use super::{DecodeError, Objects, Slot};
use crate::addr::Addr;
use crate::target::memory::Memory;

/// `sizeof(PyMemberDef)`: name, type, offset, flags, doc.
pub(super) const MEMBER_SIZE: u64 = 40;
/// `T_OBJECT_EX` and `T_OBJECT`.
pub(super) const OBJECT_TYPES: [i32; 2] = [16, 6];
/// The most members of a C type that are read.
const MAX_MEMBERS: u64 = 1 << 10;

/// A method of C code (`PyMethodDef`, `Include/methodobject.h`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CMethod {
    /// `ml_meth`.
    pub function: Addr,
    /// `ml_flags`.
    pub flags: u32,
    /// The class that defines it.
    pub class: Addr,
}

impl<M: Memory> Objects<'_, M> {
    /// The members of a C type that are references (`tp_members`, ended by one without a name).
    pub(super) fn read_members(
        &self,
        ty: Addr,
        members: &mut Vec<Slot>,
    ) -> Result<(), DecodeError> {
        let Some(mut member) = self.reference(ty + self.layout.at.ty.tp_members)? else {
            return Ok(());
        };
        for _ in 0..self.limits.members.min(MAX_MEMBERS) {
            let name = self.memory.addr(member)?;
            if name.is_null() {
                break;
            }
            if OBJECT_TYPES.contains(&self.memory.i32(member + 8)?) {
                let offset = self.memory.u64(member + 16)?;
                members.push(Slot { offset, name });
            }
            member = member + MEMBER_SIZE;
        }
        Ok(())
    }

    /// A method that a class of C code defines (`PyMethodDescrObject`, `Include/descrobject.h`); its
    /// address is null where that is not known.
    pub(super) fn c_method(
        &self,
        ty: Addr,
        tp_flags: u64,
        name: &str,
    ) -> Result<Option<CMethod>, DecodeError> {
        /// `d_method` of a method descriptor, and `ml_meth` and `ml_flags` of what it points to.
        const D_METHOD: u64 = 40;
        const ML_METH: u64 = 8;
        const ML_FLAGS: u64 = 16;
        let Some(dict) = self.type_dict(ty, tp_flags)? else { return Ok(None) };
        let Some(descriptor) = self.dict_get(dict, name)? else { return Ok(None) };
        // Compilers of Python have descriptors of their own: their methods have no address here.
        let unknown = CMethod { function: Addr::NULL, flags: 0, class: ty };
        let kind = self.memory.addr(self.type_at(descriptor)? + self.layout.at.ty.tp_name)?;
        if self.c_text(kind)? != "method_descriptor" {
            return Ok(Some(unknown));
        }
        let definition = self.memory.addr(descriptor + D_METHOD)?;
        let read = || {
            let function = self.memory.addr(definition + ML_METH)?;
            let flags = self.memory.u32(definition + ML_FLAGS)?;
            Ok::<_, DecodeError>(CMethod { function, flags, class: ty })
        };
        Ok(Some(read().unwrap_or(unknown)))
    }
}
