//! System V IPC (sysvipc(7)): numbers and structures of shared memory, semaphores and message queues.
#![allow(missing_docs, reason = "the names are those of the manual pages")]

use crate::pod::pod_struct;

/// The key that no object can be found by.
pub const IPC_PRIVATE: i32 = 0;
pub const IPC_CREAT: u32 = 0o1000;
pub const IPC_EXCL: u32 = 0o2000;
pub const IPC_NOWAIT: u32 = 0o4000;

pub const IPC_RMID: i32 = 0;
pub const IPC_SET: i32 = 1;
pub const IPC_STAT: i32 = 2;
pub const IPC_INFO: i32 = 3;

pub const SHM_LOCK: i32 = 11;
pub const SHM_UNLOCK: i32 = 12;
pub const SHM_STAT: i32 = 13;
pub const SHM_INFO: i32 = 14;
pub const SHM_STAT_ANY: i32 = 15;
/// In the mode: goes with the last one who has it attached.
pub const SHM_DEST: u32 = 0o1000;
/// In the mode: stays in memory.
pub const SHM_LOCKED: u32 = 0o2000;
pub const SHM_HUGETLB: u32 = 0o4000;
pub const SHM_NORESERVE: u32 = 0o10000;
pub const SHM_RDONLY: u32 = 0o10000;
pub const SHM_RND: u32 = 0o20000;
pub const SHM_REMAP: u32 = 0o40000;
pub const SHM_EXEC: u32 = 0o100000;

pub const GETPID: i32 = 11;
pub const GETVAL: i32 = 12;
pub const GETALL: i32 = 13;
pub const GETNCNT: i32 = 14;
pub const GETZCNT: i32 = 15;
pub const SETVAL: i32 = 16;
pub const SETALL: i32 = 17;
pub const SEM_STAT: i32 = 18;
pub const SEM_INFO: i32 = 19;
pub const SEM_STAT_ANY: i32 = 20;
/// In [`Sembuf::flags`]: the end of the process undoes it.
pub const SEM_UNDO: u16 = 0x1000;

pub const MSG_STAT: i32 = 11;
pub const MSG_INFO: i32 = 12;
pub const MSG_STAT_ANY: i32 = 13;
pub const MSG_NOERROR: u32 = 0o10000;
pub const MSG_EXCEPT: u32 = 0o20000;
pub const MSG_COPY: u32 = 0o40000;

pod_struct! {
    /// Whose an object is: `struct ipc64_perm`.
    pub struct IpcPerm: 48 {
        pub key: i32,
        pub uid: u32,
        pub gid: u32,
        pub cuid: u32,
        pub cgid: u32,
        pub mode: u32,
        pub seq: u16,
        pad __pad: [u16; 3],
        pub unused: [u64; 2],
    }
}

pod_struct! {
    /// A segment: `struct shmid64_ds`.
    pub struct ShmidDs: 112 {
        pub perm: IpcPerm,
        pub size: u64,
        pub atime: i64,
        pub dtime: i64,
        pub ctime: i64,
        pub cpid: u32,
        pub lpid: u32,
        pub nattch: u64,
        pub unused: [u64; 2],
    }
}

pod_struct! {
    /// What IPC_INFO tells of segments: `struct shminfo64`.
    pub struct Shminfo: 72 {
        pub shmmax: u64,
        pub shmmin: u64,
        pub shmmni: u64,
        pub shmseg: u64,
        pub shmall: u64,
        pub unused: [u64; 4],
    }
}

pod_struct! {
    /// What SHM_INFO tells: `struct shm_info`.
    pub struct ShmInfo: 48 {
        pub used_ids: i32,
        pad __pad: i32,
        /// In pages, as are the next two.
        pub total: u64,
        pub resident: u64,
        pub swapped: u64,
        pub swap_attempts: u64,
        pub swap_successes: u64,
    }
}

pod_struct! {
    /// A set of semaphores: `struct semid64_ds`.
    pub struct SemidDs: 104 {
        pub perm: IpcPerm,
        pub otime: i64,
        pad __pad0: u64,
        pub ctime: i64,
        pad __pad1: u64,
        pub nsems: u64,
        pub unused: [u64; 2],
    }
}

pod_struct! {
    /// What IPC_INFO and SEM_INFO tell of semaphores: `struct seminfo`.
    pub struct Seminfo: 40 {
        pub semmap: i32,
        pub semmni: i32,
        pub semmns: i32,
        pub semmnu: i32,
        pub semmsl: i32,
        pub semopm: i32,
        pub semume: i32,
        pub semusz: i32,
        pub semvmx: i32,
        pub semaem: i32,
    }
}

pod_struct! {
    /// One operation: `struct sembuf`.
    pub struct Sembuf: 6 {
        pub number: u16,
        pub operation: i16,
        pub flags: u16,
    }
}

pod_struct! {
    /// A message queue: `struct msqid64_ds`.
    pub struct MsqidDs: 120 {
        pub perm: IpcPerm,
        pub stime: i64,
        pub rtime: i64,
        pub ctime: i64,
        pub cbytes: u64,
        pub qnum: u64,
        pub qbytes: u64,
        pub lspid: u32,
        pub lrpid: u32,
        pub unused: [u64; 2],
    }
}

pod_struct! {
    /// What IPC_INFO and MSG_INFO tell of queues: `struct msginfo`.
    pub struct Msginfo: 32 {
        pub msgpool: i32,
        pub msgmap: i32,
        pub msgmax: i32,
        pub msgmnb: i32,
        pub msgmni: i32,
        pub msgssz: i32,
        pub msgtql: i32,
        pub msgseg: u16,
        pad __pad: u16,
    }
}
