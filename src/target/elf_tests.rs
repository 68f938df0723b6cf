use super::*;
use crate::addr::Addr;
use proptest::prelude::*;

fn own_file() -> File {
    File::open("/proc/self/exe").unwrap()
}

fn own_map() -> MemoryMap {
    MemoryMap::parse(&std::fs::read_to_string("/proc/self/maps").unwrap())
}

/// The mapping that holds the code of this test.
fn own_code(map: &MemoryMap) -> &Mapping {
    let code = own_code as fn(&MemoryMap) -> &Mapping;
    map.find(Addr(code as usize as u64)).unwrap()
}

#[test]
fn a_symbol_plus_the_bias_is_its_address() {
    let map = own_map();
    let getpid = nix::libc::getpid as unsafe extern "C" fn() -> i32;
    let address = getpid as usize as u64;
    let mapped = map.find(Addr(address)).unwrap();
    let image = Image::read(File::open(mapped.path.as_deref().unwrap()).unwrap()).unwrap();
    let symbol = image.symbol("getpid").unwrap();
    assert_eq!(image.bias(&map, mapped).unwrap().wrapping_add(symbol.value), address);
    assert!(symbol.size > 0);
    assert_eq!(image.symbol("getpi"), None);
    assert_eq!(image.symbol(""), None);
}

#[test]
fn symbols_that_are_not_dynamic_are_found_in_the_full_table() {
    let image = Image::read(own_file()).unwrap();
    let text = image.section(".text").unwrap();
    let main = image.symbol("main").unwrap();
    assert!((text.addr..text.addr + text.size).contains(&main.value));
}

#[test]
fn sections_loads_and_the_build_id_are_found() {
    let image = Image::read(own_file()).unwrap();
    let text = image.section(".text").unwrap();
    let code = image.loads().iter().find(|load| load.execute).unwrap();
    assert!(code.read && !code.write);
    assert!(code.addr <= text.addr && text.addr + text.size <= code.addr + code.memory_bytes);
    assert_eq!(image.section(".tex"), None);
    assert!(image.loads().iter().any(|load| load.write));
    let from_bytes = Image::from_bytes(std::fs::read("/proc/self/exe").unwrap()).unwrap();
    assert_eq!(from_bytes.loads(), image.loads());
    assert_eq!(from_bytes.build_id(), image.build_id());
}

#[test]
fn the_build_id_is_read_behind_other_notes() {
    let mut notes = Vec::new();
    for (name, content, kind) in [(&b"xy\0"[..], &[1_u8; 5][..], 3_u32), (b"GNU\0", &[7; 20], 3)] {
        notes.extend_from_slice(&(name.len() as u32).to_le_bytes());
        notes.extend_from_slice(&(content.len() as u32).to_le_bytes());
        notes.extend_from_slice(&kind.to_le_bytes());
        for part in [name, content] {
            notes.extend_from_slice(part);
            notes.resize(notes.len().next_multiple_of(4), 0);
        }
    }
    assert_eq!(build_id(&notes), Some(vec![7; 20]));
    assert_eq!(build_id(&notes[..notes.len() - 1]), None);
    assert_eq!(build_id(&[0xff; 64]), None);
}

#[test]
fn what_is_not_elf_is_refused() {
    for bytes in [&b""[..], b"\x7fELF", b"\x7fELF\x01\x01\x01", b"#!/bin/sh\n", &[0; 64]] {
        assert!(Image::from_bytes(bytes.to_vec()).is_err(), "{bytes:?}");
    }
}

#[test]
fn each_copy_of_a_file_has_its_own_bias() {
    let image = Image::read(own_file()).unwrap();
    let load = image.loads()[0];
    assert_eq!((load.offset, image.is_fixed()), (0, false));
    let map = MemoryMap::parse(
        "10000-11000 r--p 00000000 fe:00 7 /lib/a\n11000-12000 r-xp 00001000 fe:00 7 /lib/a\n\
         13000-14000 r--p 00000000 fe:00 8 /lib/b\n\
         20000-21000 r--p 00000000 fe:00 7 /lib/a\n21000-22000 r-xp 00001000 fe:00 7 /lib/a\n",
    );
    let bias = |at| image.bias(&map, map.find(Addr(at)).unwrap());
    assert_eq!(bias(0x11000), Some(0x10000_u64.wrapping_sub(load.addr)));
    assert_eq!(bias(0x21000), Some(0x20000_u64.wrapping_sub(load.addr)));
}

/// The headers and tables of a small real file.
fn small_file() -> Vec<u8> {
    std::fs::read("/bin/cat").unwrap()
}

fn use_all(bytes: Vec<u8>) {
    if let Ok(image) = Image::from_bytes(bytes) {
        let _ = image.symbol("main");
        let _ = image.section(".text");
        let _ = image.build_id();
        let _ = image.loads();
        let map = own_map();
        let _ = image.bias(&map, own_code(&map));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn broken_files_do_not_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        len in any::<prop::sample::Index>(),
    ) {
        let mut bytes = small_file();
        for (at, value) in &changes {
            // Half of them in the headers, where they matter.
            let end = if value % 2 == 0 { 1024 } else { bytes.len() };
            bytes[at.index(end)] = *value;
        }
        use_all(bytes.clone());
        bytes.truncate(len.index(bytes.len()));
        use_all(bytes);
    }

    #[test]
    fn section_headers_of_noise_do_not_panic(noise in prop::collection::vec(any::<u8>(), 64..640)) {
        let mut bytes = small_file();
        let start = u64::from_le_bytes(bytes[0x28..0x30].try_into().unwrap()) as usize;
        for (place, value) in bytes[start..].iter_mut().zip(noise) {
            *place = value;
        }
        use_all(bytes);
    }
}
