//! The stack a program finds at its first instruction: argument count, pointers to arguments and environment, auxiliary
//! vector, and the strings they point to (System V psABI for x86-64, 3.4.1; getauxval(3)).

use alloc::vec::Vec;
use core::ops::Range;

/// One entry of the auxiliary vector: type and value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Auxiliary {
    /// `AT_` number.
    pub kind: u64,
    /// Its value.
    pub value: u64,
}

macro_rules! auxiliary_kinds {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {
        #[allow(non_snake_case, reason = "named as in getauxval(3), without AT_")]
        impl Auxiliary {
            $($(#[$doc])* pub const fn $name(value: u64) -> Self {
                Auxiliary { kind: $kind, value }
            })*
        }
    };
}

auxiliary_kinds! {
    /// Address of the program headers.
    PHDR = 3;
    /// Bytes of one program header.
    PHENT = 4;
    /// Number of program headers.
    PHNUM = 5;
    /// Page size in bytes.
    PAGESZ = 6;
    /// Where the interpreter is loaded; 0 without one.
    BASE = 7;
    /// Flags; none are defined.
    FLAGS = 8;
    /// Entry point of the program.
    ENTRY = 9;
    /// Processor capabilities: EDX of CPUID leaf 1.
    HWCAP = 16;
    /// Ticks a second of times(2).
    CLKTCK = 17;
    /// Bytes of an rseq(2) area that have a meaning.
    RSEQ_FEATURE_SIZE = 27;
    /// Its alignment.
    RSEQ_ALIGN = 28;
    /// Where the vDSO is.
    SYSINFO_EHDR = 33;
}

const AT_NULL: u64 = 0;
const AT_UID: u64 = 11;
const AT_EUID: u64 = 12;
const AT_GID: u64 = 13;
const AT_EGID: u64 = 14;
const AT_PLATFORM: u64 = 15;
const AT_SECURE: u64 = 23;
const AT_RANDOM: u64 = 25;
const AT_EXECFN: u64 = 31;
const PLATFORM: &[u8] = b"x86_64";

/// What goes onto the stack.
#[derive(Clone, Copy, Debug)]
pub struct InitialStack<'a> {
    /// Arguments, the program's name first; without their ending zeros.
    pub args: &'a [&'a [u8]],
    /// Environment, as `NAME=value`.
    pub env: &'a [&'a [u8]],
    /// Path of the program (AT_EXECFN).
    pub path: &'a [u8],
    /// For AT_RANDOM.
    pub random: [u8; 16],
    /// Who the program runs as.
    pub identity: Identity,
    /// Entries besides those that point into the stack itself and the identity.
    pub auxiliary: &'a [Auxiliary],
}

/// Who a program runs as (AT_UID and its kin).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// Real user.
    pub user: u32,
    /// Effective user.
    pub effective_user: u32,
    /// Real group.
    pub group: u32,
    /// Effective group.
    pub effective_group: u32,
    /// The program has more rights than who started it (AT_SECURE).
    pub secure: bool,
}

/// The bytes of a finished stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StackImage {
    /// Everything from the stack pointer's 16-byte line to the top.
    pub bytes: Vec<u8>,
    /// Value of rsp: where the argument count is, 16-aligned.
    pub stack_pointer: u64,
    /// Where the arguments are, each with its zero.
    pub args: Range<u64>,
    /// Where the environment is, each text with its zero.
    pub env: Range<u64>,
    /// Where the auxiliary vector is.
    pub auxiliary: Range<u64>,
}

/// Arguments and environment are longer than the limit (E2BIG).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong;

impl InitialStack<'_> {
    /// Builds the image for a stack that ends at `top` (16-aligned). `limit` bounds strings and pointers, in bytes.
    pub fn build(&self, top: u64, limit: usize) -> Result<StackImage, TooLong> {
        let pointers = self.args.len() + self.env.len() + 2;
        let texts = self.args.iter().chain(self.env).try_fold(0usize, |sum, text| sum.checked_add(text.len() + 1));
        let used =
            texts.and_then(|texts| texts.checked_add(8 * pointers)).and_then(|sum| sum.checked_add(self.path.len()));
        if used.is_none_or(|used| used > limit) {
            return Err(TooLong);
        }
        let mut strings = Strings { bytes: Vec::new() };
        let path = strings.push_text(self.path);
        let platform = strings.push_text(PLATFORM);
        let random = strings.push(&self.random);
        let args: Vec<usize> = self.args.iter().map(|text| strings.push_text(text)).collect();
        let args_end = strings.bytes.len();
        let env: Vec<usize> = self.env.iter().map(|text| strings.push_text(text)).collect();
        let env_end = strings.bytes.len();
        strings.bytes.resize(strings.bytes.len().next_multiple_of(16), 0);
        let start = top - strings.bytes.len() as u64;
        let at = |offset: usize| start + offset as u64;
        let texts = [at(args.first().copied().unwrap_or(args_end)), at(args_end), at(env_end)];

        let mut words = Vec::new();
        words.push(self.args.len() as u64);
        words.extend(args.into_iter().map(at));
        words.push(0);
        words.extend(env.into_iter().map(at));
        words.push(0);
        let own = [
            (AT_UID, self.identity.user.into()),
            (AT_EUID, self.identity.effective_user.into()),
            (AT_GID, self.identity.group.into()),
            (AT_EGID, self.identity.effective_group.into()),
            (AT_SECURE, self.identity.secure.into()),
            (AT_PLATFORM, at(platform)),
            (AT_RANDOM, at(random)),
            (AT_EXECFN, at(path)),
            (AT_NULL, 0),
        ];
        words.extend(self.auxiliary.iter().flat_map(|entry| [entry.kind, entry.value]));
        words.extend(own.into_iter().flat_map(|(kind, value)| [kind, value]));
        let vector_end = words.len();
        if !words.len().is_multiple_of(2) {
            words.push(0); // behind AT_NULL, where nobody looks
        }
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        bytes.extend(strings.bytes);
        let stack_pointer = top - bytes.len() as u64;
        let word = |index: usize| stack_pointer + 8 * index as u64;
        let auxiliary = word(1 + pointers)..word(vector_end);
        Ok(StackImage { stack_pointer, args: texts[0]..texts[1], env: texts[1]..texts[2], auxiliary, bytes })
    }
}

/// Strings one after the other.
struct Strings {
    bytes: Vec<u8>,
}

impl Strings {
    fn push(&mut self, bytes: &[u8]) -> usize {
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        offset
    }

    fn push_text(&mut self, text: &[u8]) -> usize {
        let offset = self.push(text);
        self.bytes.push(0);
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const TOP: u64 = 0x7fff_0000;

    fn image(args: &[&[u8]], env: &[&[u8]]) -> StackImage {
        let stack = InitialStack {
            args,
            env,
            path: b"/bin/x",
            random: [7; 16],
            identity: Identity::default(),
            auxiliary: &[Auxiliary::PAGESZ(4096)],
        };
        stack.build(TOP, 1 << 16).unwrap()
    }

    /// Reads it back as a program's start-up code does.
    fn word(image: &StackImage, index: usize) -> u64 {
        u64::from_le_bytes(image.bytes[8 * index..8 * index + 8].try_into().unwrap())
    }

    fn text(image: &StackImage, address: u64) -> &[u8] {
        let rest = &image.bytes[(address - image.stack_pointer) as usize..];
        &rest[..rest.iter().position(|&byte| byte == 0).unwrap()]
    }

    #[test]
    fn a_program_finds_what_it_was_given() {
        let image = image(&[b"x", b"-l"], &[b"HOME=/"]);
        assert_eq!(image.stack_pointer % 16, 0);
        assert_eq!(image.stack_pointer + image.bytes.len() as u64, TOP);
        assert_eq!((word(&image, 0), word(&image, 3), word(&image, 5)), (2, 0, 0));
        assert_eq!(text(&image, word(&image, 1)), b"x");
        assert_eq!(text(&image, word(&image, 2)), b"-l");
        assert_eq!(text(&image, word(&image, 4)), b"HOME=/");
        let mut auxiliary = vec![];
        let mut at = 6;
        while word(&image, at) != AT_NULL {
            auxiliary.push((word(&image, at), word(&image, at + 1)));
            at += 2;
        }
        let find = |kind| auxiliary.iter().find(|entry| entry.0 == kind).unwrap().1;
        assert_eq!(find(6), 4096);
        assert_eq!(text(&image, find(AT_EXECFN)), b"/bin/x");
        assert_eq!(text(&image, find(AT_PLATFORM)), b"x86_64");
        assert_eq!(&image.bytes[(find(AT_RANDOM) - image.stack_pointer) as usize..][..16], [7; 16]);
    }

    #[test]
    fn the_ranges_hold_what_they_say() {
        let image = image(&[b"x", b"-l"], &[b"HOME=/", b"A="]);
        let bytes = |range: &Range<u64>| {
            &image.bytes[(range.start - image.stack_pointer) as usize..(range.end - image.stack_pointer) as usize]
        };
        assert_eq!(bytes(&image.args), b"x\0-l\0");
        assert_eq!(bytes(&image.env), b"HOME=/\0A=\0");
        assert_eq!(bytes(&image.auxiliary)[..16], [6u64.to_le_bytes(), 4096u64.to_le_bytes()].concat());
        assert_eq!(bytes(&image.auxiliary).last_chunk::<16>(), Some(&[0; 16]));
        assert_eq!(image.auxiliary.start, image.stack_pointer + 8 * 7);
    }

    #[test]
    fn the_stack_is_aligned_for_any_number_of_pointers() {
        for count in 0..5 {
            let args: Vec<&[u8]> = vec![b"a"; count];
            assert_eq!(image(&args, &[]).stack_pointer % 16, 0);
        }
    }

    #[test]
    fn too_much_is_refused() {
        let long = vec![b'x'; 1000];
        let stack = InitialStack {
            args: &[&long],
            env: &[],
            path: b"",
            random: [0; 16],
            identity: Identity::default(),
            auxiliary: &[],
        };
        assert!(stack.build(TOP, 1025).is_ok());
        assert_eq!(stack.build(TOP, 1024), Err(TooLong));
    }
}
