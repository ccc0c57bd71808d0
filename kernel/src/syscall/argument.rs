//! Arguments of system calls: registers as typed values.
//!
//! Decoding never fails; using a value may. A user pointer says by its type which way data goes, is never dereferenced,
//! and gives EFAULT when a copy fails.

use crate::process::Thread;
use crate::vfs::{File, Location, Sink, Source};
use abi::Errno;
use abi::pod::Pod;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ops::Deref;
use machine::addr::PAGE_SIZE;
use machine::mm::Frame;
use machine::user::{copy, value};

/// Longest path, with its terminating zero (PATH_MAX).
const PATH_MAX: usize = 4096;
/// `dirfd` that means the working directory.
const AT_FDCWD: i32 = -100;

/// What an argument is, for those who show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// There is none.
    None,
    /// A number with a sign, 32 bits.
    Signed,
    /// A number of things, or a place in a file.
    Count,
    /// 32 bits that often have meanings of their own.
    Bits,
    /// A descriptor.
    Fd,
    /// A path.
    Path,
    /// 64 bits that may be an address.
    Wide,
    /// An address.
    Address,
    /// Where data is that the kernel takes, as many bytes as the next argument says.
    BytesIn,
    /// Where data goes that the kernel gives, as many bytes as the call returns.
    BytesOut,
}

/// A value that a register holds.
pub trait Argument {
    /// What it is.
    const KIND: Kind;

    /// The value.
    fn decode(register: u64) -> Self;
}

macro_rules! integers {
    ($($type:ty: $kind:ident),*) => { $(impl Argument for $type {
        const KIND: Kind = Kind::$kind;

        fn decode(register: u64) -> Self {
            register as $type
        }
    })* };
}
integers!(u32: Bits, i32: Signed, u64: Wide, i64: Count, usize: Count);

/// A file descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fd(pub i32);

impl Argument for Fd {
    const KIND: Kind = Kind::Fd;

    fn decode(register: u64) -> Self {
        Fd(register as i32)
    }
}

impl Fd {
    /// The open file.
    pub fn file(self, thread: &Thread) -> Result<Arc<File>, Errno> {
        thread.process().files.with(|files| files.get(self.0))
    }

    /// The directory that a relative path begins at; None for the working directory.
    pub fn base(self, thread: &Thread, path: &[u8]) -> Result<Option<Location>, Errno> {
        if self.0 == AT_FDCWD || path.first() == Some(&b'/') {
            return Ok(None);
        }
        self.file(thread)?.location().cloned().ok_or(Errno::ENOTDIR).map(Some)
    }
}

/// User memory that the kernel writes `T`s to; may be null.
pub struct UserOut<T>(pub u64, PhantomData<T>);

/// User memory that the kernel reads `T`s from; may be null.
pub struct UserIn<T>(pub u64, PhantomData<T>);

impl<T> Clone for UserOut<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for UserOut<T> {}
impl<T> Clone for UserIn<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for UserIn<T> {}

impl<T> Argument for UserOut<T> {
    const KIND: Kind = if size_of::<T>() == 1 { Kind::BytesOut } else { Kind::Address };

    fn decode(register: u64) -> Self {
        UserOut(register, PhantomData)
    }
}

impl<T> Argument for UserIn<T> {
    const KIND: Kind = if size_of::<T>() == 1 { Kind::BytesIn } else { Kind::Address };

    fn decode(register: u64) -> Self {
        UserIn(register, PhantomData)
    }
}

impl<T> UserOut<T> {
    /// A target at `address`, for elements of user arrays.
    pub fn at(address: u64) -> Self {
        UserOut(address, PhantomData)
    }
}

impl<T> UserIn<T> {
    /// A source at `address`, for elements of user arrays.
    pub fn at(address: u64) -> Self {
        UserIn(address, PhantomData)
    }
}

impl<T: Pod> UserOut<T> {
    /// Writes the value.
    pub fn write(self, value: &T) -> Result<(), Errno> {
        value::put(self.0, value)
    }

    /// Writes the value unless the pointer is null.
    pub fn write_if_given(self, value: &T) -> Result<(), Errno> {
        if self.0 == 0 { Ok(()) } else { self.write(value) }
    }
}

impl<T: Pod> UserIn<T> {
    /// Reads the value.
    pub fn read(self) -> Result<T, Errno> {
        value::get(self.0)
    }

    /// Reads the value unless the pointer is null.
    pub fn read_if_given(self) -> Result<Option<T>, Errno> {
        if self.0 == 0 { Ok(None) } else { self.read().map(Some) }
    }
}

/// A zero-terminated path in user memory.
#[derive(Clone, Copy)]
pub struct UserPath(pub u64);

impl Argument for UserPath {
    const KIND: Kind = Kind::Path;

    fn decode(register: u64) -> Self {
        UserPath(register)
    }
}

impl UserPath {
    /// The path without its zero. EFAULT, or ENAMETOOLONG from PATH_MAX on.
    pub fn read(self) -> Result<PathText, Errno> {
        let mut text = PathText::new();
        self.read_into(&mut text)?;
        Ok(text)
    }

    /// The same into an empty text: without moving it, for the calls that programs make most.
    pub fn read_into(self, text: &mut PathText) -> Result<(), Errno> {
        match copy::read_string(self.0, &mut text.short).map_err(|_| Errno::EFAULT)? {
            Some(len) => text.len = len,
            None => text.long = read_string(self.0, PATH_MAX)?.ok_or(Errno::ENAMETOOLONG)?,
        }
        Ok(())
    }
}

/// Bytes of a path that most fit into.
const SHORT_PATH: usize = 64;

/// A path that was read from user memory, without its zero.
pub struct PathText {
    /// The path if it is short: no memory has to be found for it.
    short: [u8; SHORT_PATH],
    len: usize,
    /// The path if it is not; else empty.
    long: Vec<u8>,
}

impl PathText {
    /// An empty one.
    #[inline]
    pub fn new() -> Self {
        PathText { short: [0; SHORT_PATH], len: 0, long: Vec::new() }
    }
}

impl Deref for PathText {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        if self.long.is_empty() { &self.short[..self.len] } else { &self.long }
    }
}

/// A zero-terminated string of less than `limit` bytes; None if it is longer.
pub fn read_string(address: u64, limit: usize) -> Result<Option<Vec<u8>>, Errno> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut at = address;
    while bytes.len() < limit {
        let mut chunk = [0; 256];
        let len = chunk.len().min(limit - bytes.len());
        let end = copy::read_string(at, &mut chunk[..len]).map_err(|_| Errno::EFAULT)?;
        let found = &chunk[..end.unwrap_or(len)];
        bytes.try_reserve(found.len()).map_err(|_| Errno::ENOMEM)?;
        bytes.extend_from_slice(found);
        if end.is_some() {
            return Ok(Some(bytes));
        }
        at = at.checked_add(len as u64).ok_or(Errno::EFAULT)?;
    }
    Ok(None)
}

/// A structure that may grow, of which the caller has `size` bytes, at least `least`; what is unknown of a longer one must
/// be zero (E2BIG), what is missing of a shorter one is.
///
/// Apart from its callers, on whose part of the stack the page would be as long as they run.
#[inline(never)]
pub fn read_extensible<T: Pod>(address: u64, size: usize, least: usize) -> Result<T, Errno> {
    if size > PAGE_SIZE {
        return Err(Errno::E2BIG);
    }
    if size < least {
        return Err(Errno::EINVAL);
    }
    let mut bytes = [0; PAGE_SIZE];
    copy::read(address, &mut bytes[..size]).map_err(|_| Errno::EFAULT)?;
    match bytes[T::SIZE..].iter().all(|&byte| byte == 0) {
        true => Ok(T::read_bytes(&bytes)),
        false => Err(Errno::E2BIG),
    }
}

/// Stretches of user memory, one after the other, as target of reads or source of writes: a buffer, or an `iovec` array.
/// Where an iovec is one transfer, as a pipe's or a terminal's write must be, it stays one.
pub struct UserRange {
    address: u64,
    /// Bytes left at `address`; 0 only when nothing is left at all.
    len: usize,
    /// What comes after it, last first; none is empty.
    later: Vec<(u64, usize)>,
    left: usize,
}

impl UserRange {
    /// `len` bytes at `address`.
    pub fn new(address: u64, len: usize) -> Self {
        UserRange { address, len, later: Vec::new(), left: len }
    }

    /// These stretches of address and length, which come to at most `usize::MAX` bytes.
    pub fn vectored(mut vectors: Vec<(u64, usize)>) -> Self {
        vectors.retain(|&(_, len)| len > 0);
        vectors.reverse();
        let left = vectors.iter().map(|&(_, len)| len).sum();
        let (address, len) = vectors.pop().unwrap_or((0, 0));
        UserRange { address, len, later: vectors, left }
    }

    /// Calls `transfer` with address, length and the bytes moved before, for each piece of the next `len` bytes. After a
    /// fault, what went well before it counts as moved.
    fn each(
        &mut self,
        len: usize,
        mut transfer: impl FnMut(u64, usize, usize) -> Result<(), copy::BadAddress>,
    ) -> Result<(), Errno> {
        let mut done = 0;
        while done < len {
            let part = self.len.min(len - done);
            let result = transfer(self.address, part, done);
            let moved = result.map_or_else(|fault| fault.done, |()| part);
            done += moved;
            self.advance(moved);
            result.map_err(|_| Errno::EFAULT)?;
        }
        Ok(())
    }

    fn advance(&mut self, moved: usize) {
        self.address += moved as u64;
        self.len -= moved;
        self.left -= moved;
        if self.len == 0 {
            (self.address, self.len) = self.later.pop().unwrap_or((0, 0));
        }
    }
}

impl Sink for UserRange {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.each(bytes.len(), |at, len, done| copy::write(at, &bytes[done..done + len]))
    }

    fn put_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<(), Errno> {
        self.each(len, |at, len, done| copy::write_from_frame(at, frame, offset + done, len))
    }

    fn zeros(&mut self, len: usize) -> Result<(), Errno> {
        self.each(len, |at, len, _| copy::fill_zero(at, len))
    }

    fn remaining(&self) -> usize {
        self.left
    }
}

impl Source for UserRange {
    fn take(&mut self, out: &mut [u8]) -> Result<usize, Errno> {
        let (len, before) = (out.len().min(self.left), self.left);
        let result = self.each(len, |at, len, done| copy::read(at, &mut out[done..done + len]));
        match before - self.left {
            0 => result.map(|()| 0),
            moved => Ok(moved),
        }
    }

    fn take_into_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Errno> {
        let (len, before) = (len.min(self.left), self.left);
        let result = self.each(len, |at, len, done| copy::read_into_frame(at, frame, offset + done, len));
        match before - self.left {
            0 => result.map(|()| 0),
            moved => Ok(moved),
        }
    }

    fn remaining(&self) -> usize {
        self.left
    }
}
