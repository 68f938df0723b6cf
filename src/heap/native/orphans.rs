//! Orphans in numbers.

use rustc_hash::FxHashMap;

use crate::facts::OrphanFacts;
use crate::heap::blocks::Orphan;

/// The place of an orphan whose address stands in a block of Python's allocator to which something
/// known leads: a structure of a C type, of the interpreter, or of a binary.
const REFERRED: &str = "memory of C code";

/// The orphans in numbers, by the names of their types. `place` says where the address of one stands.
pub(super) fn by_type<'p>(
    orphans: &[Orphan],
    place: impl Fn(&Orphan) -> Option<&'p str>,
) -> Vec<OrphanFacts> {
    /// Enough to look at; the file need not have them all.
    const MOST_EXAMPLES: usize = 4096;
    let mut types: FxHashMap<&str, OrphanFacts> = FxHashMap::default();
    let place = |orphan| match place(orphan) {
        None if orphan.is_referred => Some(REFERRED),
        place => place,
    };
    let (held, lost): (Vec<_>, Vec<_>) = orphans.iter().partition(|it| place(it).is_some());
    for orphan in lost.into_iter().chain(held) {
        let row = types.entry(&orphan.ty.name).or_insert_with(|| OrphanFacts {
            type_name: orphan.ty.name.clone(),
            ..OrphanFacts::default()
        });
        row.objects += 1;
        row.shallow_bytes = row.shallow_bytes.saturating_add(orphan.shallow_bytes);
        row.buffer_bytes = row.buffer_bytes.saturating_add(orphan.buffer_bytes);
        row.references = row.references.saturating_add(orphan.references.into());
        if row.examples.len() < MOST_EXAMPLES {
            row.examples.push(orphan.addr.0);
        }
        match place(orphan) {
            Some(place) => match row.held_by.iter_mut().find(|(name, _)| name == place) {
                Some((_, count)) => *count += 1,
                None => row.held_by.push((place.to_owned(), 1)),
            },
            None => {
                row.lost += 1;
                let bytes = orphan.shallow_bytes.saturating_add(orphan.buffer_bytes);
                row.lost_bytes = row.lost_bytes.saturating_add(bytes);
            }
        }
    }
    let mut types: Vec<OrphanFacts> = types.into_values().collect();
    types.sort_by(|a, b| a.type_name.cmp(&b.type_name));
    types
}
