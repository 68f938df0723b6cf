//! One symbol table of an ELF file, searchable by name.

use super::{CTX, Symbol};
use goblin::elf::sym::{STT_FILE, STT_SECTION, STT_TLS, Symtab};
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// The longest name that is found, in bytes. Names may overlap in a hostile file, so that all of
/// them together may be far longer than the file.
const NAME_BYTES: usize = 512;

/// The defined symbols of a table. Keeps no names of its own: only the file's.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    names: Vec<u8>,
    /// Sorted by the hash of the name, then by the place in the table.
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u32,
    name: u32,
    symbol: Symbol,
}

impl Symbols {
    pub(super) fn new(table: Vec<u8>, names: Vec<u8>) -> Self {
        const SYMBOL_BYTES: usize = 24;
        let count = table.len() / SYMBOL_BYTES;
        let Ok(symbols) = Symtab::parse(&table, 0, count, CTX) else { return Self::default() };
        let mut entries: Vec<Entry> = symbols
            .iter()
            // The value of a thread-local symbol is no address.
            .filter(|symbol| {
                symbol.st_shndx != 0
                    && !matches!(symbol.st_type(), STT_SECTION | STT_FILE | STT_TLS)
            })
            .filter_map(|symbol| {
                let name = u32::try_from(symbol.st_name).ok()?;
                let hash = hash(name_at(&names, name)?);
                let symbol = Symbol { value: symbol.st_value, size: symbol.st_size };
                Some(Entry { hash, name, symbol })
            })
            .collect();
        entries.sort_by_key(|entry| entry.hash);
        Self { names, entries }
    }

    pub(super) fn get(&self, name: &str) -> Option<Symbol> {
        let hash = hash(name.as_bytes());
        let first = self.entries.partition_point(|entry| entry.hash < hash);
        self.entries
            .get(first..)?
            .iter()
            .take_while(|entry| entry.hash == hash)
            .find(|entry| is_name(&self.names, entry.name, name.as_bytes()))
            .map(|entry| entry.symbol)
    }

    /// The name of a symbol whose bytes have an address among them.
    pub(super) fn covering(&self, value: u64) -> Option<String> {
        let covers = |entry: &&Entry| {
            let Symbol { value: start, size } = entry.symbol;
            value.checked_sub(start).is_some_and(|within| within < size)
        };
        // Of several that overlap, the one that begins last is the closest.
        let found = self.entries.iter().filter(covers).max_by_key(|entry| entry.symbol.value)?;
        Some(String::from_utf8_lossy(name_at(&self.names, found.name)?).into_owned())
    }
}

fn hash(name: &[u8]) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(name);
    let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn name_at(names: &[u8], at: u32) -> Option<&[u8]> {
    let name = names.get(usize::try_from(at).ok()?..)?;
    let len = name.iter().take(NAME_BYTES + 1).position(|&byte| byte == 0)?;
    name.get(..len)
}

/// Whether the string table holds this name at this place.
pub(super) fn is_name(names: &[u8], at: u32, name: &[u8]) -> bool {
    name_at(names, at) == Some(name)
}
