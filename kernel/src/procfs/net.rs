//! Sockets, in the forms of `/proc/net` (proc(5)): those that some process has a descriptor of. Connections that nobody has accepted
//! yet are not shown.

use crate::ipc::socket::{End, Family, Kind, Name, Phase, socket};
use crate::process::{find, pids};
use crate::vfs::pseudo::{Subject, Text};
use crate::vfs::{Metadata, Result};
use abi::Errno;
use abi::inet::{TCP_CLOSE, TCP_ESTABLISHED};
use alloc::vec::Vec;

/// `/proc/net/tcp`.
pub(super) fn tcp(_: Subject, text: &mut Text) -> Result<()> {
    inet(Kind::Stream, text)
}

/// `/proc/net/udp`.
pub(super) fn udp(_: Subject, text: &mut Text) -> Result<()> {
    inet(Kind::Datagram, text)
}

/// The sockets of one protocol: own and other address, how far it is, what waits to be sent and received, user and inode. Timers and
/// what follows the inode on Linux there are none.
fn inet(kind: Kind, text: &mut Text) -> Result<()> {
    text.line(
        &"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                     ",
    )?;
    let mut number = 0;
    each_socket(&mut |end, Metadata { ino, uid, .. }| {
        if (end.family, end.kind) != (Family::Inet, kind) {
            return;
        }
        write!(text, "{number:4}: ");
        number += 1;
        for name in [end.own_name(), end.name_of_peer()] {
            let (host, port) = match name {
                Some(Name::Inet(at)) => (at.host, at.port),
                _ => (0, 0),
            };
            // The host as its bytes are in memory.
            write!(text, "{:08X}:{port:04X} ", host.swap_bytes());
        }
        let state = match kind {
            Kind::Stream => end.tcp_state(),
            _ if end.has_peer() => TCP_ESTABLISHED,
            _ => TCP_CLOSE,
        };
        let (sent, received) = (end.unreceived(), end.waiting_to_receive());
        write!(text, "{state:02X} {sent:08X}:{received:08X} 00:00000000 00000000 {uid:5}        0 {ino} ");
        writeln!(text, "1 0000000000000000");
    })
}

/// `/proc/net/unix`.
pub(super) fn unix(_: Subject, text: &mut Text) -> Result<()> {
    /// The socket takes connections (`__SO_ACCEPTCON`).
    const TAKES_CONNECTIONS: u32 = 0x10000;
    text.line(&"Num       RefCount Protocol Flags    Type St Inode Path")?;
    each_socket(&mut |end, Metadata { ino, .. }| {
        if end.family != Family::Unix {
            return;
        }
        let flags = if end.phase() == Phase::Listening { TAKES_CONNECTIONS } else { 0 };
        // As `socket_state` has them: 1 unconnected, 3 connected.
        let state = if end.has_peer() { 3 } else { 1 };
        write!(text, "{:016x}: {:08X} 00000000 {flags:08X} {:04X} {state:02X} {ino:5}", 0, 2, end.kind as u32);
        if let Some(Name::Unix(path)) = end.own_name() {
            let shown = path.strip_suffix(b"\0").filter(|path| !path.is_empty()).unwrap_or(&path);
            text.put(b" ");
            // A zero stands for itself nowhere in a text.
            shown.iter().for_each(|&byte| text.put(&[if byte == 0 { b'@' } else { byte }]));
        }
        writeln!(text);
    })
}

/// Calls `each` with every socket that has a descriptor, and what stat(2) tells of that, once; ENOMEM.
fn each_socket(each: &mut dyn FnMut(&End, &Metadata)) -> Result<()> {
    let mut seen: Vec<u64> = Vec::new();
    for pid in pids() {
        let Some(process) = find(pid) else { continue };
        let mut at = 0;
        while let Some((fd, file)) = process.files.with(|files| {
            let fd = files.next_from(at)?;
            Some((fd, files.peek(fd as i32).cloned()))
        }) {
            at = fd + 1;
            let Some(file) = file else { continue };
            let (Ok(socket), Ok(about)) = (socket(&file), file.metadata()) else { continue };
            if let Err(place) = seen.binary_search(&about.ino) {
                seen.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                seen.insert(place, about.ino);
                each(&socket.end, &about);
            }
        }
    }
    Ok(())
}
