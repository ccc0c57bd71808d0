//! capget(2), capset(2).

use super::argument::{UserIn, UserOut};
use super::{Caller, SyscallResult};
use crate::process::table;
use abi::Errno;
use abi::capability::{CAP_SETPCAP, CapData, CapHeader, VERSION_1, VERSION_2, VERSION_3};
use alloc::sync::Arc;

/// The header, and how many words of 32 capabilities its version has. If that is not known, the caller is told which is.
fn header(at: UserIn<CapHeader>) -> Result<Option<(CapHeader, usize)>, Errno> {
    let header = at.read()?;
    let words = match header.version {
        VERSION_1 => 1,
        VERSION_2 | VERSION_3 => 2,
        _ => {
            UserOut::at(at.0).write(&VERSION_3)?;
            return Ok(None);
        }
    };
    Ok(Some((header, words)))
}

pub fn capget(caller: &mut Caller<'_>, at: UserIn<CapHeader>, data: UserOut<CapData>) -> SyscallResult {
    let Some((header, words)) = header(at)? else {
        // One that only asks for the version gets it.
        return if data.0 == 0 { Ok(0) } else { Err(Errno::EINVAL) };
    };
    let own = caller.thread.process();
    let process = match u32::try_from(header.pid).map_err(|_| Errno::EINVAL)? {
        0 => own.clone(),
        tid => table::find_thread(tid).map(|thread| Arc::clone(thread.process())).ok_or(Errno::ESRCH)?,
    };
    if data.0 == 0 {
        return Ok(0);
    }
    let sets = process.credentials().capabilities;
    for word in 0..words {
        let part = |set: u64| (set >> (32 * word)) as u32;
        let out = CapData {
            effective: part(sets.effective),
            permitted: part(sets.permitted),
            inheritable: part(sets.inheritable),
        };
        UserOut::at(data.0 + (word * size_of::<CapData>()) as u64).write(&out)?;
    }
    Ok(0)
}

pub fn capset(caller: &mut Caller<'_>, at: UserIn<CapHeader>, data: UserIn<CapData>) -> SyscallResult {
    let (header, words) = header(at)?.ok_or(Errno::EINVAL)?;
    if header.pid != 0 && header.pid as u32 != caller.thread.tid() {
        return Err(Errno::EPERM);
    }
    let (mut effective, mut permitted, mut inheritable) = (0, 0, 0);
    for word in 0..words {
        let part = UserIn::<CapData>::at(data.0 + (word * size_of::<CapData>()) as u64).read()?;
        let shift = 32 * word;
        effective |= u64::from(part.effective) << shift;
        permitted |= u64::from(part.permitted) << shift;
        inheritable |= u64::from(part.inheritable) << shift;
    }
    let all = crate::process::capability::ALL;
    caller.thread.process().change_credentials(|own| {
        let free = own.has(CAP_SETPCAP);
        let new = own.capabilities.set(effective & all, permitted & all, inheritable & all, free);
        own.capabilities = new.ok_or(Errno::EPERM)?;
        Ok::<(), Errno>(())
    })?;
    Ok(0)
}
