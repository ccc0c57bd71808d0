//! What `netdevice(7)` says of the one interface there is: `lo`, which leads back.

use crate::vfs::Result;
use abi::Errno;
use abi::inet::*;
use abi::pod::Pod;
use machine::user::value;

const NAME: &[u8] = b"lo";
/// Number of the interface.
const INDEX: u32 = 1;
/// Bytes of the largest packet.
const MTU: u32 = 65536;
/// Packets that wait to be sent.
const QUEUE: u32 = 1000;
/// Bits of an address that are the network's.
const MASK: u32 = 0xff00_0000;

/// Answers a question; ENODEV for another interface, ENOTTY, EFAULT.
pub fn ioctl(command: u32, argument: u64) -> Result<u64> {
    if command == SIOCGIFCONF {
        return list(argument);
    }
    let answer = answer(command).ok_or(Errno::ENOTTY)?;
    let mut request = value::get::<Ifreq>(argument)?;
    if command == SIOCGIFNAME {
        let index = u32::read_bytes(&request.ifr_value);
        if index != INDEX {
            return Err(Errno::ENODEV);
        }
        request.ifr_name = name();
    } else {
        let given = request.ifr_name.split(|&byte| byte == 0).next();
        if given != Some(NAME) {
            return Err(Errno::ENODEV);
        }
        request.ifr_value = answer;
    }
    value::put(argument, &request)?;
    Ok(0)
}

/// What is answered to a question about the interface, if it is one.
fn answer(command: u32) -> Option<[u8; 16]> {
    let number = |value: u32| {
        let mut bytes = [0; 16];
        value.write_bytes(&mut bytes);
        bytes
    };
    Some(match command {
        SIOCGIFNAME | SIOCGIFINDEX => number(INDEX),
        SIOCGIFFLAGS => number(IFF_UP | IFF_LOOPBACK | IFF_RUNNING),
        SIOCGIFADDR | SIOCGIFDSTADDR => address(INADDR_LOOPBACK),
        SIOCGIFNETMASK => address(MASK),
        SIOCGIFBRDADDR => address(INADDR_ANY),
        SIOCGIFMETRIC => number(0),
        SIOCGIFMTU => number(MTU),
        SIOCGIFTXQLEN => number(QUEUE),
        // The address itself is all zeros.
        SIOCGIFHWADDR => number(ARPHRD_LOOPBACK),
        _ => return None,
    })
}

/// The list of interfaces that have an address.
fn list(argument: u64) -> Result<u64> {
    let mut request = value::get::<Ifconf>(argument)?;
    let one = Ifreq { ifr_name: name(), ifr_value: address(INADDR_LOOPBACK), ..Ifreq::ZERO };
    if request.ifc_buf == 0 {
        request.ifc_len = Ifreq::SIZE as i32;
    } else if request.ifc_len >= Ifreq::SIZE as i32 {
        value::put(request.ifc_buf, &one)?;
        request.ifc_len = Ifreq::SIZE as i32;
    } else {
        request.ifc_len = 0;
    }
    value::put(argument, &request)?;
    Ok(0)
}

fn name() -> [u8; IFNAMSIZ] {
    let mut name = [0; IFNAMSIZ];
    name[..NAME.len()].copy_from_slice(NAME);
    name
}

fn address(host: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    SockaddrIn::new(host, 0).write_bytes(&mut bytes);
    bytes
}
