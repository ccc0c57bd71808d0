//! The stack on which a program starts: arguments, environment and auxiliary vector (System V psABI, 3.4.1).
//!
//! From the highest address down: 8 zero bytes, the path that was executed, the strings of the environment and the
//! arguments, the platform's name, 16 random bytes, padding, the auxiliary vector, the pointers to the environment and
//! to the arguments, each ended by a 0, and `argc`, to which the stack pointer points at a multiple of 16. The
//! order of the strings is Linux's own: tools such as `ps` find arguments and environment side by side.

use alloc::vec::Vec;
use core::fmt;

use abi::auxv::{AT_EXECFN, AT_NULL, AT_PLATFORM, AT_RANDOM};

/// What `AT_PLATFORM` points to.
const PLATFORM: &[u8] = b"x86_64";
/// Bytes at the very top that stay zero.
const TOP_GUARD: usize = 8;

/// What goes on the stack. Strings are given without their NUL and must not contain one.
#[derive(Clone, Copy, Debug)]
pub struct InitialStack<'a, S> {
    /// Address right above the stack, a multiple of 16.
    pub top: u64,
    /// The arguments, beginning with the program's name.
    pub argv: &'a [S],
    /// The environment, `NAME=value` each.
    pub envp: &'a [S],
    /// Keys and values of the auxiliary vector, without `AT_RANDOM`, `AT_EXECFN`, `AT_PLATFORM` and the final
    /// `AT_NULL`, which are added here.
    pub auxv: &'a [(u32, u64)],
    /// Path that was executed, for `AT_EXECFN`.
    pub execfn: &'a [u8],
    /// What `AT_RANDOM` points to.
    pub random: [u8; 16],
    /// Most bytes that all of it may take.
    pub limit: usize,
}

/// A stack to be copied to user memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StackImage {
    /// The bytes from `rsp` to the top.
    pub bytes: Vec<u8>,
    /// Initial stack pointer, the address of the first byte; a multiple of 16.
    pub rsp: u64,
    /// Addresses of the arguments' strings with their NULs, for `/proc/self/cmdline`.
    pub args: core::ops::Range<u64>,
    /// Addresses of the environment's strings with their NULs, for `/proc/self/environ`.
    pub env: core::ops::Range<u64>,
}

/// Why there is no stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StackError {
    /// Arguments and environment need more than the limit, or than there are addresses: `E2BIG`.
    TooBig,
    /// No memory for the image: `ENOMEM`.
    OutOfMemory,
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StackError::TooBig => "argument list and environment too long",
            StackError::OutOfMemory => "no memory for the initial stack",
        })
    }
}

impl core::error::Error for StackError {}

impl<S: AsRef<[u8]>> InitialStack<'_, S> {
    /// Lays the stack out.
    pub fn build(&self) -> Result<StackImage, StackError> {
        let layout = self.layout()?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(layout.total).map_err(|_| StackError::OutOfMemory)?;
        let mut image = Writer { bytes };
        self.write_pointers(&layout, &mut image);
        image.bytes.resize(layout.vectors, 0);
        image.bytes.extend_from_slice(&self.random);
        image.string(PLATFORM);
        image.bytes.resize(layout.args_at, 0);
        self.argv.iter().chain(self.envp).for_each(|text| image.string(text.as_ref()));
        image.string(self.execfn);
        image.bytes.resize(layout.total, 0);
        let (args, env, execfn) = (layout.args_at as u64, layout.env_at as u64, layout.execfn_at as u64);
        let rsp = layout.rsp;
        Ok(StackImage { bytes: image.bytes, rsp, args: rsp + args..rsp + env, env: rsp + env..rsp + execfn })
    }

    /// Writes `argc`, the pointers and the auxiliary vector.
    fn write_pointers(&self, layout: &Layout, image: &mut Writer) {
        image.word(self.argv.len() as u64);
        let mut address = layout.rsp + layout.args_at as u64;
        for list in [self.argv, self.envp] {
            for text in list {
                image.word(address);
                address += text.as_ref().len() as u64 + 1;
            }
            image.word(0);
        }
        let random = layout.rsp + layout.vectors as u64;
        let own = [
            (AT_RANDOM, random),
            (AT_PLATFORM, random + self.random.len() as u64),
            (AT_EXECFN, layout.rsp + layout.execfn_at as u64),
            (AT_NULL, 0),
        ];
        for (key, value) in self.auxv.iter().copied().chain(own) {
            image.word(u64::from(key));
            image.word(value);
        }
    }

    /// Computes where everything is, counted in bytes from the stack pointer.
    fn layout(&self) -> Result<Layout, StackError> {
        let words = 1 + (self.argv.len() + 1) + (self.envp.len() + 1) + 2 * (self.auxv.len() + 4);
        let args_len = strings_len(self.argv)?;
        let env_len = strings_len(self.envp)?;
        let strings = add(add(args_len, env_len)?, self.execfn.len() + 1 + TOP_GUARD)?;
        let fixed = self.random.len() + PLATFORM.len() + 1;
        let total = add(add(words.checked_mul(8).ok_or(StackError::TooBig)?, fixed)?, strings)?;
        let total = total.checked_next_multiple_of(16).ok_or(StackError::TooBig)?;
        let rsp = self.top.checked_sub(total as u64).ok_or(StackError::TooBig)?;
        if total > self.limit || !self.top.is_multiple_of(16) {
            return Err(StackError::TooBig);
        }
        let args_at = total - strings;
        let env_at = args_at + args_len;
        Ok(Layout { total, rsp, vectors: words * 8, args_at, env_at, execfn_at: env_at + env_len })
    }
}

/// Offsets in bytes from the stack pointer.
struct Layout {
    total: usize,
    rsp: u64,
    /// End of the vectors, where the random bytes are.
    vectors: usize,
    args_at: usize,
    env_at: usize,
    execfn_at: usize,
}

/// Appends to the image, within its reserved capacity.
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn word(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn string(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
    }
}

/// Bytes of all strings with their NULs.
fn strings_len<S: AsRef<[u8]>>(list: &[S]) -> Result<usize, StackError> {
    list.iter().try_fold(0, |total, text| add(total, text.as_ref().len() + 1))
}

fn add(left: usize, right: usize) -> Result<usize, StackError> {
    left.checked_add(right).ok_or(StackError::TooBig)
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use proptest::prelude::*;

    use super::*;
    use crate::bytes::u64_at;

    const TOP: u64 = 0x7fff_ffff_0000;

    fn stack<'a>(argv: &'a [&'a str], envp: &'a [&'a str], auxv: &'a [(u32, u64)]) -> InitialStack<'a, &'a str> {
        InitialStack { top: TOP, argv, envp, auxv, execfn: b"/bin/x", random: [0xa5; 16], limit: 1 << 20 }
    }

    /// Reads an image as a program's start code would.
    struct Reader<'a>(&'a StackImage);

    impl Reader<'_> {
        fn word(&self, index: usize) -> u64 {
            u64_at(&self.0.bytes, index * 8).unwrap()
        }

        fn text(&self, address: u64) -> Vec<u8> {
            let bytes = &self.0.bytes[(address - self.0.rsp) as usize..];
            bytes.iter().copied().take_while(|&byte| byte != 0).collect()
        }

        /// The strings of the list at word `index`, and the index behind its 0.
        fn list(&self, mut index: usize) -> (Vec<Vec<u8>>, usize) {
            let mut list = Vec::new();
            while self.word(index) != 0 {
                list.push(self.text(self.word(index)));
                index += 1;
            }
            (list, index + 1)
        }

        fn auxv(&self, mut index: usize) -> Vec<(u64, u64)> {
            let mut pairs = Vec::new();
            while self.word(index) != 0 {
                pairs.push((self.word(index), self.word(index + 1)));
                index += 2;
            }
            pairs
        }
    }

    #[test]
    fn a_program_finds_everything() {
        let image = stack(&["x", "two words", ""], &["PATH=/bin"], &[(6, 4096)]).build().unwrap();
        let reader = Reader(&image);
        assert_eq!((image.rsp % 16, image.rsp + image.bytes.len() as u64), (0, TOP));
        assert_eq!(reader.word(0), 3);
        let (argv, next) = reader.list(1);
        assert_eq!(argv, [&b"x"[..], b"two words", b""]);
        let (envp, next) = reader.list(next);
        assert_eq!(envp, [b"PATH=/bin"]);
        let auxv = reader.auxv(next);
        assert_eq!(auxv[0], (6, 4096));
        let value = |key: u32| auxv.iter().find(|pair| pair.0 == u64::from(key)).unwrap().1;
        assert_eq!(reader.text(value(AT_EXECFN)), b"/bin/x");
        assert_eq!(reader.text(value(AT_PLATFORM)), b"x86_64");
        let random = (value(AT_RANDOM) - image.rsp) as usize;
        assert_eq!(image.bytes[random..random + 16], [0xa5; 16]);
        let range = |range: core::ops::Range<u64>| {
            &image.bytes[(range.start - image.rsp) as usize..][..(range.end - range.start) as usize]
        };
        assert_eq!(range(image.args.clone()), b"x\0two words\0\0");
        assert_eq!(range(image.env.clone()), b"PATH=/bin\0");
        assert_eq!(image.bytes[image.bytes.len() - 8..], [0; 8]);
    }

    #[test]
    fn limits_are_kept() {
        let mut small = stack(&["x"], &[], &[]);
        let needed = small.build().unwrap().bytes.len();
        small.limit = needed;
        assert!(small.build().is_ok());
        small.limit = needed - 1;
        assert_eq!(small.build(), Err(StackError::TooBig));
        let low = InitialStack { top: 16, ..stack(&["x"], &[], &[]) };
        assert_eq!(low.build(), Err(StackError::TooBig));
    }

    #[test]
    fn no_arguments_at_all() {
        let image = stack(&[], &[], &[]).build().unwrap();
        assert_eq!(
            (u64_at(&image.bytes, 0), u64_at(&image.bytes, 8), u64_at(&image.bytes, 16)),
            (Some(0), Some(0), Some(0))
        );
        assert!(image.args.is_empty() && image.env.is_empty());
    }

    proptest! {
        #[test]
        fn any_lists_come_back(
            argv in prop::collection::vec("[^\0]{0,20}", 0..8),
            envp in prop::collection::vec("[^\0]{0,20}", 0..8),
        ) {
            let argv_refs: Vec<&str> = argv.iter().map(String::as_str).collect();
            let envp_refs: Vec<&str> = envp.iter().map(String::as_str).collect();
            let image = stack(&argv_refs, &envp_refs, &[(3, 9)]).build().unwrap();
            prop_assert_eq!(image.rsp % 16, 0);
            prop_assert_eq!(image.rsp + image.bytes.len() as u64, TOP);
            let reader = Reader(&image);
            let (read_argv, next) = reader.list(1);
            let (read_envp, next) = reader.list(next);
            prop_assert!(read_argv.iter().map(Vec::as_slice).eq(argv.iter().map(String::as_bytes)));
            prop_assert!(read_envp.iter().map(Vec::as_slice).eq(envp.iter().map(String::as_bytes)));
            prop_assert_eq!(reader.auxv(next).len(), 4);
        }
    }
}
