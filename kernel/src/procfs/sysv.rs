//! `/proc/sysvipc`: all objects of System V IPC, one a line.

use crate::ipc::sysv::{msg, sem, shm};
use crate::vfs::Result;
use crate::vfs::pseudo::{Entry, Kind, Subject, Text};
use abi::ipc::IpcPerm;
use machine::addr::PAGE_SIZE;

pub(super) const ENTRIES: &[Entry] = &[
    Entry { name: "msg", mode: 0o444, kind: Kind::Text(queues) },
    Entry { name: "sem", mode: 0o444, kind: Kind::Text(sets) },
    Entry { name: "shm", mode: 0o444, kind: Kind::Text(segments) },
];

fn segments(_: Subject, text: &mut Text) -> Result<()> {
    text.put(b"       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid");
    text.put(b"      atime      dtime      ctime                   rss                  swap\n");
    shm::for_each(&mut |id, shown, present| {
        name(id, &shown.perm, text);
        write!(text, " {:21} {:5} {:5}  {:5}", shown.size, shown.cpid, shown.lpid, shown.nattch);
        owners(&shown.perm, text);
        times([shown.atime, shown.dtime, shown.ctime], text);
        writeln!(text, " {:21} {:21}", present * PAGE_SIZE as u64, 0);
    });
    Ok(())
}

fn queues(_: Subject, text: &mut Text) -> Result<()> {
    text.put(b"       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid");
    text.put(b"      stime      rtime      ctime\n");
    msg::for_each(&mut |id, shown| {
        name(id, &shown.perm, text);
        write!(text, "  {:10} {:10} {:5} {:5}", shown.cbytes, shown.qnum, shown.lspid, shown.lrpid);
        owners(&shown.perm, text);
        times([shown.stime, shown.rtime, shown.ctime], text);
        text.put(b"\n");
    });
    Ok(())
}

fn sets(_: Subject, text: &mut Text) -> Result<()> {
    text.put(b"       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n");
    sem::for_each(&mut |id, shown| {
        name(id, &shown.perm, text);
        write!(text, " {:10}", shown.nsems);
        owners(&shown.perm, text);
        times([shown.otime, shown.ctime], text);
        text.put(b"\n");
    });
    Ok(())
}

fn name(id: i32, perm: &IpcPerm, text: &mut Text) {
    write!(text, "{:10} {id:10}  {:4o}", perm.key, perm.mode);
}

fn owners(perm: &IpcPerm, text: &mut Text) {
    for number in [perm.uid, perm.gid, perm.cuid, perm.cgid] {
        write!(text, " {number:5}");
    }
}

fn times<const N: usize>(times: [i64; N], text: &mut Text) {
    for time in times {
        write!(text, " {time:10}");
    }
}
