//! Tests of the load plan: literal headers, this very test program, and random ones.

use std::string::ToString;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const USER_END: u64 = 0x7fff_ffff_f000;
const RX: u32 = abi::PF_R | abi::PF_X;
const RW: u32 = abi::PF_R | abi::PF_W;

fn ehdr(e_type: u16, entry: u64, phoff: u64, phnum: u16) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[16..18].copy_from_slice(&e_type.to_le_bytes());
    bytes[18..20].copy_from_slice(&abi::EM_X86_64.to_le_bytes());
    bytes[20] = 1;
    bytes[24..32].copy_from_slice(&entry.to_le_bytes());
    bytes[32..40].copy_from_slice(&phoff.to_le_bytes());
    bytes[54..56].copy_from_slice(&56u16.to_le_bytes());
    bytes[56..58].copy_from_slice(&phnum.to_le_bytes());
    bytes
}

/// A program header: type, flags, file offset, address, bytes in the file, bytes in memory. Aligned to 4096.
fn phdr(p_type: u32, flags: u32, offset: u64, vaddr: u64, filesz: u64, memsz: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&p_type.to_le_bytes());
    bytes.extend_from_slice(&flags.to_le_bytes());
    for value in [offset, vaddr, vaddr, filesz, memsz, 4096] {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes
}

fn plan_of(e_type: u16, phdrs: &[Vec<u8>]) -> Result<LoadPlan, ElfError> {
    let header = Header::parse(&ehdr(e_type, 0x40_1000, 64, phdrs.len() as u16))?;
    LoadPlan::new(&header, &phdrs.concat(), 0x10_0000, USER_END)
}

fn load(flags: u32, offset: u64, vaddr: u64, filesz: u64, memsz: u64) -> Vec<u8> {
    phdr(abi::PT_LOAD, flags, offset, vaddr, filesz, memsz)
}

#[test]
fn a_usual_static_program() {
    let phdrs = [
        load(abi::PF_R, 0, 0x40_0000, 0x500, 0x500),
        load(RX, 0x1000, 0x40_1000, 0x2345, 0x2345),
        load(RW, 0x4e10, 0x40_5e10, 0x200, 0x1900),
        phdr(abi::PT_GNU_STACK, RW, 0, 0, 0, 0),
    ];
    let plan = plan_of(abi::ET_EXEC, &phdrs).unwrap();
    assert_eq!((plan.kind, plan.entry, plan.segments.len()), (ElfKind::Fixed, 0x40_1000, 3));
    assert_eq!(plan.span, 0x40_0000..0x40_8000);
    assert_eq!((plan.phdr_vaddr, plan.phnum, plan.phentsize), (Some(0x40_0040), 4, 56));
    assert_eq!((plan.interpreter.clone(), plan.stack_executable, plan.align), (None, false, 4096));
    let data = plan.segments[2];
    assert_eq!((data.readable, data.writable, data.executable), (true, true, false));
    assert_eq!((data.pages(), data.file_page_offset()), (0x40_5000..0x40_8000, 0x4000));
    assert_eq!(data.zero_range(), 0x40_6010..0x40_7710);
    assert_eq!(plan.break_start(), 0x40_8000);
}

#[test]
fn this_test_program_itself() {
    let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let header = Header::parse(&file[..Header::SIZE]).unwrap();
    let range = header.phdr_range();
    let phdrs = &file[range.start as usize..range.end as usize];
    let plan = LoadPlan::new(&header, phdrs, file.len() as u64, USER_END).unwrap();
    assert!(plan.segments.iter().any(|segment| segment.executable));
    assert!(plan.segments.iter().any(|segment| segment.writable));
    assert!(plan.span.contains(&plan.entry));
    assert!(plan.phdr_vaddr.is_some() && !plan.stack_executable);
    let path = plan.interpreter.as_ref().map(|range| &file[range.start as usize..range.end as usize]);
    assert!(path.is_none_or(|path| interpreter_path(path).unwrap().starts_with(b"/")));
}

#[test]
fn foreign_files_are_not_executable() {
    let mut cases: Vec<(Vec<u8>, ElfError)> = std::vec![
        (Vec::new(), ElfError::BadMagic),
        (b"#!/bin/sh\necho hello, this is a text file that is long enough".to_vec(), ElfError::BadMagic),
        (b"\x7fELF\x02\x01\x01".to_vec(), ElfError::TruncatedHeader { have: 7 }),
        (ehdr(abi::ET_EXEC, 0, 64, 1)[..63].to_vec(), ElfError::TruncatedHeader { have: 63 }),
        (ehdr(abi::ET_REL, 0, 64, 1).to_vec(), ElfError::BadType(1)),
        (ehdr(abi::ET_EXEC, 0, 64, 0).to_vec(), ElfError::BadPhnum(0)),
        (ehdr(abi::ET_EXEC, 0, 64, 1171).to_vec(), ElfError::BadPhnum(1171)),
        (ehdr(abi::ET_EXEC, 0, u64::MAX, 1).to_vec(), ElfError::PhdrsOutsideFile { phoff: u64::MAX }),
    ];
    let mut patched = |at: usize, value: u8, error| {
        let mut bytes = ehdr(abi::ET_EXEC, 0, 64, 1);
        bytes[at] = value;
        cases.push((bytes.to_vec(), error));
    };
    patched(4, 1, ElfError::Not64Bit);
    patched(5, 2, ElfError::BadIdent);
    patched(18, 3, ElfError::BadMachine(3));
    patched(54, 32, ElfError::BadPhentsize(32));
    for (bytes, error) in cases {
        assert_eq!(Header::parse(&bytes), Err(error));
        assert!(error.is_noexec(), "{error}");
    }
}

#[test]
fn impossible_segments_name_themselves() {
    let good = load(RX, 0x1000, 0x40_1000, 0x10, 0x10);
    let cases = [
        (load(RX, 0xf_f000, 0x50_0000, 0x1001, 0x1001), ElfError::SegmentOutsideFile { index: 1 }),
        (load(RX, u64::MAX - 0xfff, 0x50_0000, 0x1001, 0x1001), ElfError::SegmentOutsideFile { index: 1 }),
        (load(RX, 0x1001, 0x50_0000, 1, 1), ElfError::SegmentMisaligned { index: 1 }),
        (load(RX, 0x1000, 0x50_0000, 2, 1), ElfError::FileszBeyondMemsz { index: 1 }),
        (load(RX, 0x1000, 0x50_0000, 1, u64::MAX), ElfError::SegmentWraps { index: 1 }),
        (
            load(RX, 0x1000, USER_END - 0x1000, 1, 0x1001),
            ElfError::SegmentBeyondUser { index: 1, vaddr: USER_END - 4096 },
        ),
        (
            load(RX, 0, 0xffff_8000_0000_0000, 0, 1),
            ElfError::SegmentBeyondUser { index: 1, vaddr: 0xffff_8000_0000_0000 },
        ),
        (load(RX, 0, 0, 1, 1), ElfError::SegmentBelowMinimum { index: 1, vaddr: 0 }),
        (load(RX, 0x100f, 0x40_100f, 1, 1), ElfError::SegmentsOutOfOrder { index: 1 }),
        (phdr(abi::PT_INTERP, 4, 0, 0, 1, 1), ElfError::BadInterpreter),
        (phdr(abi::PT_INTERP, 4, 0xf_fff0, 0, 0x20, 0x20), ElfError::BadInterpreter),
    ];
    for (second, error) in cases {
        assert_eq!(plan_of(abi::ET_EXEC, &[good.clone(), second]), Err(error), "{error}");
    }
    assert_eq!(plan_of(abi::ET_EXEC, &[load(RX, 0, 0x40_0000, 0, 0)]), Err(ElfError::NothingToLoad));
    assert_eq!(ElfError::SegmentWraps { index: 1 }.to_string(), "segment 1: p_vaddr + p_memsz wraps around");
    assert!(!ElfError::SegmentWraps { index: 1 }.is_noexec());
}

#[test]
fn what_linux_tolerates_is_tolerated() {
    let shared_page = [load(RX, 0x1000, 0x40_1000, 0x800, 0x800), load(RW, 0x1800, 0x40_1800, 0x10, 0x10)];
    let plan = plan_of(abi::ET_EXEC, &shared_page).unwrap();
    assert_eq!(plan.segments[0].pages(), plan.segments[1].pages());
    let bss_only = [load(RX, 0x1000, 0x40_1000, 8, 8), load(RW, 0x7fff_ffff, 0x50_0123, 0, 0x2000)];
    assert_eq!(plan_of(abi::ET_EXEC, &bss_only).unwrap().segments[1].pages(), 0x50_0000..0x50_3000);
    assert!(plan_of(abi::ET_DYN, &[load(RX, 0, 0, 0x1000, 0x1000)]).is_ok(), "relative to a bias, 0 is no null");
    let stack = [load(RX, 0, 0, 16, 16), phdr(abi::PT_GNU_STACK, RX | RW, 0, 0, 0, 0)];
    assert!(plan_of(abi::ET_DYN, &stack).unwrap().stack_executable);
}

#[test]
fn program_headers_cut_off_by_the_file() {
    let header = Header::parse(&ehdr(abi::ET_EXEC, 0x40_1000, 64, 2)).unwrap();
    let phdrs = [load(RX, 0, 0x40_0000, 1, 1), load(RW, 0, 0x50_0000, 1, 1)].concat();
    let error = Err(ElfError::PhdrsOutsideFile { phoff: 64 });
    assert_eq!(LoadPlan::new(&header, &phdrs[..111], 4096, USER_END), error);
    assert_eq!(LoadPlan::new(&header, &phdrs, 64 + 111, USER_END), error);
    assert!(LoadPlan::new(&header, &phdrs, 64 + 112, USER_END).is_ok());
}

#[test]
fn huge_entry_and_alignment() {
    let header = Header::parse(&ehdr(abi::ET_DYN, USER_END, 64, 1)).unwrap();
    let mut segment = load(RX, 0, 0, 1, 1);
    let error = LoadPlan::new(&header, &segment, 4096, USER_END);
    assert_eq!(error, Err(ElfError::EntryBeyondUser { entry: USER_END }));
    segment[48..].copy_from_slice(&(1u64 << 63).to_le_bytes());
    assert_eq!(plan_of(abi::ET_DYN, &[segment.clone()]), Err(ElfError::BadAlignment { align: 1 << 63 }));
    segment[48..].copy_from_slice(&0x20_0000u64.to_le_bytes());
    assert_eq!(plan_of(abi::ET_DYN, &[segment]).unwrap().align, 0x20_0000);
}

#[test]
fn interpreter_path_ends_at_its_nul() {
    assert_eq!(interpreter_path(b"/lib/ld.so\0"), Ok(&b"/lib/ld.so"[..]));
    assert_eq!(interpreter_path(b"/lib\0junk\0"), Ok(&b"/lib"[..]));
    for bad in [&b"/lib/ld.so"[..], b"", b"\0x"] {
        assert_eq!(interpreter_path(bad), Err(ElfError::BadInterpreter));
    }
}

/// What must hold of each plan.
fn check_sound(plan: &LoadPlan, file_len: u64) {
    assert!(plan.span.end <= USER_END && plan.entry < USER_END);
    let mut previous = 0;
    for segment in &plan.segments {
        assert!(segment.vaddr >= previous);
        previous = segment.end();
        assert!(segment.file_bytes == 0 || segment.file_offset + segment.file_bytes <= file_len);
        assert!(plan.span.start <= segment.pages().start && segment.pages().end <= plan.span.end);
        let zero = segment.zero_range();
        assert!(zero.start <= zero.end && zero.end <= segment.pages().end);
    }
}

/// A usual program, whose headers and interpreter are broken in a few places; the same for the same seed.
fn load_broken(seed: u64) -> bool {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = move |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    };
    let mut file = ehdr([abi::ET_EXEC, abi::ET_DYN][below(2)], 0x40_1000, 64, 6).to_vec();
    for header in [
        phdr(abi::PT_INTERP, abi::PF_R, 400, 0x40_0190, 28, 28),
        load(abi::PF_R, 0, 0x40_0000, 0x500, 0x500),
        load(RX, 0x1000, 0x40_1000, 0x2345, 0x2345),
        load(RW, 0x4e10, 0x40_5e10, 0x200, 0x1900),
        phdr(abi::PT_GNU_STACK, RW, 0, 0, 0, 0),
        phdr(6 /* PT_PHDR */, abi::PF_R, 64, 0x40_0040, 336, 336),
    ] {
        file.extend(header);
    }
    file.extend(b"/lib64/ld-linux-x86-64.so.2\0");
    file.resize(0x5010, 0);
    for _ in 0..1 + below(6) {
        let at = below(428);
        let len = [1, 1, 2, 4, 8][below(5)];
        let byte = [0, 1, 0xff, 0x7f, 0x80, below(256) as u8][below(6)];
        file[at..(at + len).min(428)].fill(byte);
    }
    let Ok(header) = Header::parse(&file) else { return false };
    let range = header.phdr_range();
    let end = range.end.min(file.len() as u64);
    let phdrs = &file[range.start.min(end) as usize..end as usize];
    match LoadPlan::new(&header, phdrs, file.len() as u64, USER_END) {
        Ok(plan) => {
            check_sound(&plan, file.len() as u64);
            if let Some(range) = &plan.interpreter {
                let _ = interpreter_path(&file[range.start as usize..range.end as usize]);
            }
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

fn load_many(seeds: core::ops::Range<u64>) {
    let count = seeds.end - seeds.start;
    let mut loaded = 0;
    for seed in seeds {
        match std::panic::catch_unwind(|| load_broken(seed)) {
            Ok(good) => loaded += u64::from(good),
            Err(_) => panic!("seed {seed} failed"),
        }
    }
    assert!(loaded > count / 20, "only {loaded} of {count} could be loaded: the damage is too great to show anything");
}

#[test]
fn fuzz_some_programs() {
    load_many(1..20_000);
}

#[test]
#[ignore = "takes as long as FUZZ_CASES says"]
fn fuzz_many_programs() {
    let number = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"));
    let first = number("FUZZ_SEED", 1);
    load_many(first..first + number("FUZZ_CASES", 1_000_000));
}

/// Numbers that sit at the edges where arithmetic goes wrong.
fn edge() -> impl Strategy<Value = u64> {
    prop_oneof![
        0u64..0x20_0000,
        any::<u64>(),
        (0u64..0x3000).prop_map(|less| u64::MAX - less),
        (0u64..0x3000).prop_map(|less| USER_END - less),
        (0u64..16).prop_map(|pages| 0x40_0000 + pages * 4096),
    ]
}

proptest! {
    #[test]
    fn random_programs_never_panic_and_plans_are_sound(
        dynamic: bool,
        entry in edge(),
        phdrs in prop::collection::vec((0u32..4, any::<u32>(), edge(), edge(), edge(), edge()), 1..6),
        file_len in 0u64..0x40_0000,
    ) {
        let e_type = if dynamic { abi::ET_DYN } else { abi::ET_EXEC };
        let header = Header::parse(&ehdr(e_type, entry, 64, phdrs.len() as u16)).unwrap();
        let bytes: Vec<u8> = phdrs.iter().flat_map(|&(kind, flags, a, b, c, d)| phdr(kind, flags, a, b, c, d)).collect();
        let Ok(plan) = LoadPlan::new(&header, &bytes, file_len, USER_END) else { return Ok(()) };
        check_sound(&plan, file_len);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(header) = Header::parse(&bytes) {
            let _ = LoadPlan::new(&header, &bytes, bytes.len() as u64, USER_END);
        }
    }
}
