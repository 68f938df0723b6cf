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

/// Code at `CODE` and eight words at `DATA`.
fn target(code: &[u8], data: [u64; 8]) -> Target {
    let mut code = code.to_vec();
    code.resize(4096, 0xcc);
    Target { code, data: data.into_iter().flat_map(u64::to_le_bytes).collect() }
}

/// Loops as often as the first word of the object says.
const LOOP: &[u8] = &[
    0x48, 0x8b, 0x07, // mov rax,[rdi]
    0x48, 0xff, 0xc8, // dec rax
    0x75, 0xfb, // jne -5
    0xc3, // ret
];

/// Visits what the second word of the object points to, if the first is not zero.
const REACHES: &[u8] = &[
    0x48, 0x83, 0x3f, 0x00, // cmp qword [rdi],0
    0x74, 0x09, // je +9
    0x48, 0x8b, 0x7f, 0x08, // mov rdi,[rdi+8]
    0x48, 0x8b, 0x3f, // mov rdi,[rdi]
    0xff, 0xe6, // jmp rsi
    0xc3, // ret
];

#[test]
fn what_one_object_got_stuck_in_does_not_matter_to_another() {
    let target = target(REACHES, [1, 0xbad, 1, DATA, 0, 0, 0, 0]);
    let code = Code::default();
    let follow = |object: u64| {
        let mut visited = Vec::new();
        let end = code.traverse(&target, Addr(CODE), Addr(object), |at| visited.push(at.0));
        end.map(|()| visited)
    };
    for _ in 0..3 {
        assert_eq!(follow(DATA), Err(Stuck::Memory(Addr(0xbad))));
        assert_eq!(follow(DATA + 16), Ok(vec![1]));
        assert_eq!(follow(DATA + 32), Ok(vec![]));
    }
}

#[test]
fn one_call_that_takes_too_long_does_not_matter_to_another() {
    // Two steps for each round, and two around them.
    let allowance = Allowance { call: 100, ..Allowance::default() };
    let target = target(LOOP, [49, 50, 1, 0, 0, 0, 0, 0]);
    let code = Code { allowance, ..Code::default() };
    for _ in 0..3 {
        let follow = |nth: u64| code.traverse(&target, Addr(CODE), Addr(DATA + nth * 8), |_| {});
        assert_eq!(follow(0), Ok(()));
        assert_eq!(follow(1), Err(Stuck::Steps));
        assert_eq!(follow(2), Ok(()));
    }
}

#[test]
fn code_that_ends_just_below_the_limit_is_stopped_by_the_sum_for_all_objects_alike() {
    let allowance = Allowance { call: 100, function: 1_000, pass: 1_000_000 };
    let target = target(LOOP, [49, 1, 0, 0, 0, 0, 0, 0]);
    let code = Code { allowance, ..Code::default() };
    let passes = std::cell::Cell::new(0);
    let pass = |object: u64, calls: u32| {
        code.settle_traversals(|| {
            passes.set(passes.get() + 1);
            let follow = |_| code.traverse(&target, Addr(CODE), Addr(object), |_| {});
            (0..calls).map(follow).filter(Result::is_ok).count()
        })
    };
    // Within its share, and again: a pass does not inherit from the one before.
    assert_eq!(pass(DATA, 9), 9);
    assert_eq!(pass(DATA, 9), 9);
    assert_eq!(pass(DATA + 8, 200), 200);
    // Beyond it: not the first ten of a million, but none, after one pass that found it out.
    assert_eq!(pass(DATA, 1_000_000), 0);
    assert_eq!(passes.get(), 5);
    // And so it stays.
    assert_eq!(pass(DATA + 8, 1), 0);
}

#[test]
fn many_functions_together_are_stopped_as_well() {
    let allowance = Allowance { call: 100, function: 1_000, pass: 1_500 };
    let mut code = Vec::new();
    for _ in 0..100 {
        code.extend(LOOP);
        code.resize(code.len().next_multiple_of(16), 0xcc);
    }
    let target = target(&code, [49, 0, 0, 0, 0, 0, 0, 0]);
    let code = Code { allowance, ..Code::default() };
    let mut passes = 0;
    let followed = code.settle_traversals(|| {
        passes += 1;
        let follow = |nth: u64| code.traverse(&target, Addr(CODE + nth * 16), Addr(DATA), |_| {});
        (0..100).map(follow).filter(Result::is_ok).count()
    });
    assert_eq!((followed, passes), (0, 2));
}

#[test]
fn what_settled_can_be_followed_again() {
    let allowance = Allowance { call: 100, function: 150, pass: 150 };
    let target = target(LOOP, [49, 0, 0, 0, 0, 0, 0, 0]);
    let code = Code { allowance, ..Code::default() };
    let follow = || code.traverse(&target, Addr(CODE), Addr(DATA), |_| {});
    assert_eq!(code.settle_traversals(follow), Ok(()));
    for _ in 0..10 {
        assert_eq!(follow(), Ok(()));
    }
}

#[test]
fn every_byte_that_strcmp_compares_is_a_step() {
    // mov rsi,rdi; call rax, for ever, where rax is strcmp at DATA+0x38.
    let code = [0x48, 0x8d, 0x47, 0x38, 0x48, 0x89, 0xfe, 0xff, 0xd0, 0xeb, 0xf5];
    let target = target(&code, [0x2020_2020_2020_2020; 8]);
    let code = Code { strcmp: Addr(DATA + 0x38), ..Code::default() };
    let end = code.traverse(&target, Addr(CODE), Addr(DATA), |_| {});
    assert_eq!(end, Err(Stuck::Memory(Addr(DATA + 64))));
    assert_eq!(code.traversals.spent(), 3 + 65);
}

/// Follows code in which `PyLong_FromSsize_t` is at `DATA`.
fn number(code: &[u8]) -> Result<u64, Stuck> {
    let target = target(code, [0, 0x1000, 0x2000, 0x3000, 0, 0, 0, 0]);
    let code = Code { int_makers: vec![Addr(DATA)], ..Code::default() };
    code.number(&target, Addr(CODE), [DATA, 0, 0, 0, 0])
}

/// `call` or `jmp` to `DATA` behind the bytes so far.
fn go(code: &mut Vec<u8>, opcode: u8) {
    code.push(opcode);
    let from = CODE + code.len() as u64 + 4;
    code.extend(u32::try_from(DATA - from).unwrap().to_le_bytes());
}

#[test]
fn a_number_that_becomes_an_int_is_the_answer() {
    // mov rdi,[rdi+0x18]; shl rdi,3; add rdi,0x40; jmp PyLong_FromSsize_t.
    let mut code = vec![0x48, 0x8b, 0x7f, 0x18, 0x48, 0xc1, 0xe7, 0x03, 0x48, 0x83, 0xc7, 0x40];
    go(&mut code, 0xe9);
    assert_eq!(number(&code), Ok(0x3000 * 8 + 0x40));
}

#[test]
fn of_two_ints_the_returned_one_is_the_answer() {
    // mov edi,7; call PyLong_FromSsize_t; mov rbx,rax; mov edi,9; call PyLong_FromSsize_t; …
    let mut code = vec![0xbf, 7, 0, 0, 0];
    go(&mut code, 0xe8);
    code.extend([0x48, 0x89, 0xc3, 0xbf, 9, 0, 0, 0]);
    go(&mut code, 0xe8);
    let second = [&code[..], &[0xc3]].concat();
    let first = [&code[..], &[0x48, 0x89, 0xd8, 0xc3]].concat(); // mov rax,rbx
    let neither = [&code[..], &[0x31, 0xc0, 0xc3]].concat(); // xor eax,eax
    let looked_into = [&code[..], &[0x48, 0x8b, 0x03, 0xc3]].concat(); // mov rax,[rbx]
    let between = [&code[..], &[0x48, 0xff, 0xc0, 0xc3]].concat(); // inc rax
    assert_eq!(number(&second), Ok(9));
    assert_eq!(number(&first), Ok(7));
    assert_eq!(number(&neither), Err(Stuck::NoNumber));
    assert!(matches!(number(&looked_into), Err(Stuck::Memory(_))));
    assert_eq!(number(&between), Err(Stuck::NoNumber));
    // call PyLong_FromSsize_t; jmp -7
    let mut endless = Vec::new();
    go(&mut endless, 0xe8);
    endless.extend([0xeb, 0xf9]);
    assert_eq!(number(&endless), Err(Stuck::Writes));
}

#[test]
fn an_int_does_not_end_a_traverse() {
    // push rsi; push rdi; call PyLong_FromSsize_t; pop rdi; pop rsi; mov rdi,[rdi+8]; jmp rsi.
    let mut code = vec![0x56, 0x57];
    go(&mut code, 0xe8);
    code.extend([0x5f, 0x5e, 0x48, 0x8b, 0x7f, 0x08, 0xff, 0xe6]);
    let target = target(&code, [0, 0x1000, 0, 0, 0, 0, 0, 0]);
    let code = Code { int_makers: vec![Addr(DATA)], ..Code::default() };
    let mut visited = Vec::new();
    let end = code.traverse(&target, Addr(CODE), Addr(DATA), |object| visited.push(object.0));
    assert_eq!((end, visited), (Ok(()), vec![0x1000]));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(code in proptest::collection::vec(proptest::num::u8::ANY, 1..200)) {
        let _ = traverse(&code);
    }
}
