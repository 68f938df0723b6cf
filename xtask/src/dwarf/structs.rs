//! What the debug information of a build says of C structures.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use gimli::{AttributeValue, EndianSlice, LittleEndian, Unit, UnitOffset, UnitSectionOffset};
use object::{Object, ObjectSection};

use super::table::Table;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Where the fields of a structure are, with `sizeof`.
pub(crate) type Fields = BTreeMap<&'static str, u64>;

/// All definitions that were found for the structures of the table, by their place in it; several if C files use one
/// name for different structures. Each with the files that hold it.
pub(crate) type Found = BTreeMap<usize, BTreeMap<Fields, BTreeSet<String>>>;

/// How deep a type may lie behind names and qualifiers, and a field within fields.
const MAX_DEPTH: u32 = 16;

/// Adds what the debug information of one file says. Does nothing if it has none.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn read(path: &Path, table: &Table, found: &mut Found) -> Result<()> {
    let data = std::fs::read(path).with_context(|| path.display().to_string())?;
    let file = object::File::parse(&*data).with_context(|| path.display().to_string())?;
    let load = |id: gimli::SectionId| -> Result<Cow<'_, [u8]>> {
        match file.section_by_name(id.name()) {
            Some(section) => Ok(section.uncompressed_data()?),
            None => Ok(Cow::Borrowed(&[])),
        }
    };
    let sections = gimli::DwarfSections::load(load)?;
    let dwarf = sections.borrow(|section| EndianSlice::new(section, LittleEndian));
    let mut info = Info { dwarf: &dwarf, units: Vec::new() };
    let mut headers = dwarf.units();
    while let Some(header) = headers.next()? {
        info.units.push(dwarf.unit(header)?);
    }
    for unit in &info.units {
        let source = unit.name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        for (name, offset) in info.named_types(unit, table)? {
            let Some((unit, offset)) = info.structure(unit, offset, 0)? else { continue };
            let Some(&place) = table.by_name.get(&*name) else { continue };
            let wanted = table.structures.get(place).map_or(&[][..], |known| &known.fields[..]);
            if let Some(fields) = info.fields(unit, offset, wanted)? {
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                let short = source.rsplit('/').take(2).collect::<Vec<_>>();
                let short = short.into_iter().rev().collect::<Vec<_>>().join("/");
                let of = format!("{file}:{short}");
                found.entry(place).or_default().entry(fields).or_default().insert(of);
            }
        }
    }
    Ok(())
}

/// The debug information of one file.
struct Info<'a> {
    dwarf: &'a gimli::Dwarf<Slice<'a>>,
    /// In the order of their offsets.
    units: Vec<Unit<Slice<'a>>>,
}

type Place<'b, 'a> = (&'b Unit<Slice<'a>>, UnitOffset);

impl<'a> Info<'a> {
    /// The definitions of a unit that have one of the table's names: structures and names of types.
    fn named_types(
        &self,
        unit: &Unit<Slice<'a>>,
        table: &Table,
    ) -> Result<Vec<(String, UnitOffset)>> {
        let mut types = Vec::new();
        let mut raw = unit.entries_raw(None)?;
        while !raw.is_empty() {
            let offset = raw.next_offset();
            let Some(abbreviation) = raw.read_abbreviation()? else { continue };
            let is_type =
                matches!(abbreviation.tag(), gimli::DW_TAG_structure_type | gimli::DW_TAG_typedef);
            if !is_type {
                raw.skip_attributes(abbreviation.attributes())?;
                continue;
            }
            for specification in abbreviation.attributes() {
                let attribute = raw.read_attribute(*specification)?;
                if attribute.name() != gimli::DW_AT_name {
                    continue;
                }
                let name = self.dwarf.attr_string(unit, attribute.value())?;
                let name = name.to_string_lossy();
                if table.by_name.contains_key(&*name) {
                    types.push((name.into_owned(), offset));
                }
            }
        }
        Ok(types)
    }

    /// The structure or union that a type is, behind its names and qualifiers; nothing for other types and for
    /// declarations without a definition.
    fn structure<'b>(
        &'b self,
        unit: &'b Unit<Slice<'a>>,
        offset: UnitOffset,
        depth: u32,
    ) -> Result<Option<Place<'b, 'a>>> {
        if depth > MAX_DEPTH {
            return Ok(None);
        }
        let entry = unit.entry(offset)?;
        match entry.tag() {
            gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type => {
                let declared = entry.has_attr(gimli::DW_AT_declaration);
                Ok((!declared).then_some((unit, offset)))
            }
            gimli::DW_TAG_typedef
            | gimli::DW_TAG_const_type
            | gimli::DW_TAG_volatile_type
            | gimli::DW_TAG_atomic_type => {
                match self.type_of(unit, entry.attr_value(gimli::DW_AT_type)) {
                    Some((unit, offset)) => self.structure(unit, offset, depth + 1),
                    None => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    /// Where the type is that an attribute names; with link-time optimisation in another unit.
    fn type_of<'b>(
        &'b self,
        unit: &'b Unit<Slice<'a>>,
        value: Option<AttributeValue<Slice<'a>>>,
    ) -> Option<Place<'b, 'a>> {
        match value? {
            AttributeValue::UnitRef(offset) => Some((unit, offset)),
            AttributeValue::DebugInfoRef(offset) => {
                let after = self.units.partition_point(|unit| match unit.header.offset() {
                    UnitSectionOffset(start) => start <= offset.0,
                });
                let unit = self.units.get(after.checked_sub(1)?)?;
                Some((unit, offset.to_unit_offset(&unit.header)?))
            }
            _ => None,
        }
    }

    /// The wanted fields of a structure, and its size.
    fn fields(
        &self,
        unit: &Unit<Slice<'a>>,
        offset: UnitOffset,
        wanted: &[&'static str],
    ) -> Result<Option<Fields>> {
        let size = unit.entry(offset)?.attr_value(gimli::DW_AT_byte_size);
        let Some(size) = size.and_then(|size| size.udata_value()) else { return Ok(None) };
        let mut fields = Fields::from([("sizeof", size)]);
        for &field in wanted {
            let path: Vec<&str> = field.split('.').collect();
            if let Some(at) = self.find(unit, offset, &path, 0)? {
                fields.insert(field, at);
            }
        }
        Ok(Some(fields))
    }

    /// The offset of a field; the fields of members without a name are the structure's own.
    fn find(
        &self,
        unit: &Unit<Slice<'a>>,
        offset: UnitOffset,
        path: &[&str],
        depth: u32,
    ) -> Result<Option<u64>> {
        let Some((first, rest)) = path.split_first() else { return Ok(Some(0)) };
        if depth > MAX_DEPTH {
            return Ok(None);
        }
        let mut tree = unit.entries_tree(Some(offset))?;
        let mut members = tree.root()?.children();
        while let Some(member) = members.next()? {
            let entry = member.entry();
            if entry.tag() != gimli::DW_TAG_member {
                continue;
            }
            let name = match entry.attr_value(gimli::DW_AT_name) {
                Some(name) => Some(self.dwarf.attr_string(unit, name)?.to_string_lossy()),
                None => None,
            };
            let path = match &name {
                Some(name) if name == first => rest,
                Some(_) => continue,
                None => path,
            };
            let start = start_of(|attribute| entry.attr_value(attribute)?.udata_value());
            if path.is_empty() {
                return Ok(Some(start));
            }
            let Some((unit, ty)) = self.type_of(unit, entry.attr_value(gimli::DW_AT_type)) else {
                continue;
            };
            let Some((unit, inner)) = self.structure(unit, ty, 0)? else { continue };
            if let Some(at) = self.find(unit, inner, path, depth + 1)? {
                return Ok(Some(start + at));
            }
        }
        Ok(None)
    }
}

/// Where a member starts, in bytes: a bit field at the byte that holds its first bit.
fn start_of(value: impl Fn(gimli::DwAt) -> Option<u64>) -> u64 {
    value(gimli::DW_AT_data_member_location)
        .or_else(|| value(gimli::DW_AT_data_bit_offset).map(|bits| bits / 8))
        .unwrap_or(0)
}
