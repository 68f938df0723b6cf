use super::*;
use crate::target::memory::{ReadError, ReadErrorKind};

/// Code at `CODE`, data at `DATA`, nothing else.
struct Target {
    code: Vec<u8>,
    data: Vec<u8>,
}

const CODE: u64 = 0x40_0000;
const DATA: u64 = 0x50_0000;

impl Memory for Target {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        let (bytes, start) = if addr.0 < DATA { (&self.code, CODE) } else { (&self.data, DATA) };
        let from = addr.0.checked_sub(start).and_then(|at| usize::try_from(at).ok());
        let part = from.and_then(|at| bytes.get(at..at.checked_add(buf.len())?));
        let error = ReadError { addr, len: buf.len() as u64, kind: ReadErrorKind::Unmapped };
        buf.copy_from_slice(part.ok_or(error)?);
        Ok(())
    }
}

/// Follows code with an object of eight words: 0, 0x1000, 0x2000, …
fn traverse(code: &[u8]) -> Result<Vec<u64>, Stuck> {
    let mut padded = code.to_vec();
    padded.resize(4096, 0xcc);
    let data = (0..8_u64).flat_map(|nth| (nth * 0x1000).to_le_bytes()).collect();
    let target = Target { code: padded, data };
    let mut visited = Vec::new();
    Code::default().traverse(&target, Addr(CODE), Addr(DATA), |object| visited.push(object.0))?;
    Ok(visited)
}

#[test]
fn a_function_as_gcc_makes_it_visits_its_fields() {
    // push rbp; mov rbp,rdx; push rbx; mov rbx,rdi; sub rsp,8; mov rdi,[rdi+0x10]; mov rax,rsi; test rdi,rdi; je +6;
    // call rsi; test eax,eax; jne +17; mov rdi,[rbx+0x18]; test rdi,rdi; je +8; mov rsi,rbp; call rax … is what follows
    // a saved register; here: visits [rdi+0x10], then tail-calls visit with [rdi+0x20].
    let code = [
        0xf3, 0x0f, 0x1e, 0xfa, // endbr64
        0x41, 0x54, // push r12
        0x49, 0x89, 0xf4, // mov r12,rsi
        0x53, // push rbx
        0x48, 0x89, 0xfb, // mov rbx,rdi
        0x48, 0x83, 0xec, 0x08, // sub rsp,8
        0x48, 0x8b, 0x7f, 0x10, // mov rdi,[rdi+0x10]
        0x48, 0x85, 0xff, // test rdi,rdi
        0x74, 0x07, // je +7
        0x41, 0xff, 0xd4, // call r12
        0x85, 0xc0, // test eax,eax
        0x75, 0x14, // jne end
        0x48, 0x8b, 0x3b, // mov rdi,[rbx]
        0x48, 0x85, 0xff, // test rdi,rdi
        0x75, 0x0c, // jne end: the first word is null
        0x48, 0x8b, 0x7b, 0x20, // mov rdi,[rbx+0x20]
        0x4c, 0x89, 0xe0, // mov rax,r12
        0x48, 0x83, 0xc4, 0x08, // add rsp,8
        0x5b, // pop rbx
        0x41, 0x5c, // pop r12
        0xff, 0xe0, // jmp rax
        0xc3,
    ];
    assert_eq!(traverse(&code), Ok(vec![0x2000, 0x4000]));
}

#[test]
fn a_loop_visits_each_item_and_counts_down_in_memory_that_the_target_never_sees() {
    let code = [
        0x53, // push rbx
        0x55, // push rbp
        0x48, 0x89, 0xfb, // mov rbx,rdi
        0x48, 0x89, 0xf5, // mov rbp,rsi
        0xc7, 0x03, 3, 0, 0, 0, // mov dword [rbx],3
        0x8b, 0x03, // loop: mov eax,[rbx]
        0x48, 0x8b, 0x3c, 0xc3, // mov rdi,[rbx+rax*8]
        0xff, 0xd5, // call rbp
        0xff, 0x0b, // dec dword [rbx]
        0x75, 0xf4, // jne loop
        0x5d, // pop rbp
        0x5b, // pop rbx
        0xc3,
    ];
    assert_eq!(traverse(&code), Ok(vec![0x3000, 0x2000, 0x1000]));
}

#[test]
fn hostile_code_ends() {
    // jmp to itself; call to itself; a jump to nothing; an unknown instruction; a read and a write of nothing.
    assert_eq!(traverse(&[0xeb, 0xfe]), Err(Stuck::Steps));
    assert!(matches!(traverse(&[0xe8, 0xfb, 0xff, 0xff, 0xff]), Err(Stuck::Memory(_))));
    assert_eq!(traverse(&[0x31, 0xc0, 0xff, 0xe0]), Err(Stuck::Memory(Addr(0))));
    assert!(matches!(traverse(&[0x0f, 0x05]), Err(Stuck::Instruction(_))));
    assert!(matches!(traverse(&[0x48, 0x8b, 0x00]), Err(Stuck::Memory(Addr(0)))));
    assert!(matches!(traverse(&[0x48, 0x89, 0x00]), Err(Stuck::Memory(Addr(0)))));
}

#[test]
fn what_got_stuck_once_is_not_tried_again() {
    let target = Target { code: vec![0x0f, 0x05, 0xc3], data: vec![0; 64] };
    let code = Code::default();
    assert!(code.traverse(&target, Addr(CODE), Addr(DATA), |_| {}).is_err());
    assert!(code.is_stuck(Addr(CODE)));
}

#[test]
fn a_number_that_becomes_an_int_is_the_answer() {
    // mov rdi,[rdi+0x18]; shl rdi,3; add rdi,0x40; jmp rel32 to DATA (where PyLong_FromSsize_t is).
    let mut code =
        vec![0x48, 0x8b, 0x7f, 0x18, 0x48, 0xc1, 0xe7, 0x03, 0x48, 0x83, 0xc7, 0x40, 0xe9];
    let from = CODE + code.len() as u64 + 4;
    code.extend(u32::try_from(DATA - from).unwrap().to_le_bytes());
    code.resize(4096, 0xcc);
    let data = (0..8_u64).flat_map(|nth| (nth * 0x1000).to_le_bytes()).collect();
    let target = Target { code, data };
    let code = Code { answers: vec![Addr(DATA)], ..Code::default() };
    assert_eq!(code.number(&target, Addr(CODE), [DATA, 0, 0, 0, 0]), Ok(0x3000 * 8 + 0x40));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(code in proptest::collection::vec(proptest::num::u8::ANY, 1..200)) {
        let _ = traverse(&code);
    }
}
