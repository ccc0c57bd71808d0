//! Extended attributes of a file in memory: a list of names and values. Its node has the lock.

use super::super::Result;
use super::super::inode::SetAttribute;
use abi::Errno;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Most bytes that names and values of one file take together.
const MOST_BYTES: usize = 128 * 1024;

/// A name and its value.
pub(super) type Attribute = (Box<[u8]>, Box<[u8]>);

/// The attributes of a file.
#[derive(Default)]
pub(super) struct Attributes(Vec<Attribute>);

impl Attributes {
    /// The value of `name`.
    pub fn get(&self, name: &[u8]) -> Result<Vec<u8>> {
        let (_, value) = self.0.iter().find(|(known, _)| **known == *name).ok_or(Errno::ENODATA)?;
        let mut copied = Vec::new();
        copied.try_reserve_exact(value.len()).map_err(|_| Errno::ENOMEM)?;
        copied.extend_from_slice(value);
        Ok(copied)
    }

    /// Calls `each` with all names.
    pub fn each(&self, each: &mut dyn FnMut(&[u8])) {
        self.0.iter().for_each(|(name, _)| each(name));
    }

    /// Puts `new` in the place of the attribute `name`, or takes that out. What was there is the caller's, to be freed without
    /// the lock.
    pub fn change(&mut self, name: &[u8], new: Option<Attribute>, how: SetAttribute) -> Result<Option<Attribute>> {
        let list = &mut self.0;
        let at = list.iter().position(|(known, _)| **known == *name);
        if at.is_none() && (new.is_none() || how == SetAttribute::Old) {
            return Err(Errno::ENODATA);
        }
        if at.is_some() && how == SetAttribute::New {
            return Err(Errno::EEXIST);
        }
        let Some(new) = new else { return Ok(at.map(|at| list.swap_remove(at))) };
        let len = |pair: &Attribute| pair.0.len() + pair.1.len();
        let used = list.iter().map(len).sum::<usize>() - at.map_or(0, |at| len(&list[at]));
        if used + len(&new) > MOST_BYTES {
            return Err(Errno::ENOSPC);
        }
        list.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let old = at.map(|at| list.swap_remove(at));
        list.push(new);
        Ok(old)
    }
}

/// An attribute of these bytes.
pub(super) fn attribute(name: &[u8], value: &[u8]) -> Result<Attribute> {
    let copy = |bytes: &[u8]| {
        let mut copied = Vec::new();
        copied.try_reserve_exact(bytes.len()).map_err(|_| Errno::ENOMEM)?;
        copied.extend_from_slice(bytes);
        Ok(copied.into_boxed_slice())
    };
    Ok((copy(name)?, copy(value)?))
}
