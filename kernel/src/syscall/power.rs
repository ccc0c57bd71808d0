//! reboot(2): switching off, restarting, and what Ctrl-Alt-Delete does.

use super::{Caller, SyscallResult};
use crate::tty::keyboard;
use abi::Errno;
use abi::capability::CAP_SYS_BOOT;
use abi::system::reboot as command;
use machine::power;

/// Nothing is written out first, as on Linux: programs call sync(2) before. For root alone.
pub fn reboot(caller: &mut Caller<'_>, magic: u32, magic_2: u32, what: u32, argument: u64) -> SyscallResult {
    caller.needs(CAP_SYS_BOOT)?;
    if magic != command::MAGIC1 || !command::MAGIC2.contains(&magic_2) {
        return Err(Errno::EINVAL);
    }
    match what {
        command::CAD_ON => keyboard::set_restart_keys(true),
        command::CAD_OFF => keyboard::set_restart_keys(false),
        command::RESTART => {
            log::warn!("reboot(2): restarting");
            power::restart()
        }
        command::RESTART2 => {
            // The text is for the firmware of other machines, but it must be there.
            let mut first = [0];
            machine::user::copy::read(argument, &mut first).map_err(|_| Errno::EFAULT)?;
            log::warn!("reboot(2): restarting");
            power::restart()
        }
        command::POWER_OFF => {
            log::warn!("reboot(2): power off");
            power::off()
        }
        command::HALT => {
            log::warn!("reboot(2): the system is halted");
            machine::panic::halt()
        }
        // Suspending to disk and another kernel are not there: what Linux gives when it was built without them.
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}
