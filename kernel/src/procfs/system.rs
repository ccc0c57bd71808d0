//! What the machine has and does: CPUs, memory, time, load, interrupts, devices.

use super::status::TICK_NS;
use crate::block::Disk;
use crate::clock;
use crate::input;
use crate::ports;
use crate::process::table;
use crate::sched::{load, tick};
use crate::storage;
use crate::tty;
use crate::version;
use crate::vfs::pseudo::{Subject, Text};
use crate::vfs::{self, Result};
use abi::fs::split_dev;
use core::array;
use core::sync::atomic::{AtomicU64, Ordering};
use klib::objects;
use machine::addr::HUGE_PAGE_SIZE;
use machine::boot;
use machine::cpu;
use machine::irq;
use machine::mm::{FrameKind, frame, huge_pages};
use machine::{PAGE_SIZE, time};

/// `/proc/version`.
pub(super) fn version(_: Subject, text: &mut Text) -> Result<()> {
    writeln!(text, "{} version {} {}", version::SYSTEM, version::RELEASE, version::VERSION);
    Ok(())
}

/// `/proc/cmdline`.
pub(super) fn command_line(_: Subject, text: &mut Text) -> Result<()> {
    text.line(&boot::info().raw_command_line())
}

/// `/proc/kmsg`: the log that is kept. Unlike Linux's it does not wait for more.
pub(super) fn log(_: Subject, text: &mut Text) -> Result<()> {
    machine::kept_log::each(&mut |bytes| text.put(bytes));
    Ok(())
}

/// Seconds and hundredths.
fn put_seconds(ns: u64, end: &str, text: &mut Text) {
    write!(text, "{}.{:02}{end}", ns / 1_000_000_000, ns / TICK_NS % 100);
}

/// `/proc/uptime`: time since boot, and for how long CPUs had nothing to do.
pub(super) fn uptime(_: Subject, text: &mut Text) -> Result<()> {
    put_seconds(time::since_boot_ns(), " ", text);
    put_seconds(cpu::online().map(load::idle_time_ns).sum(), "\n", text);
    Ok(())
}

/// `/proc/loadavg`.
pub(super) fn load(_: Subject, text: &mut Text) -> Result<()> {
    for average in load::averages() {
        // Rounded to hundredths.
        let hundredths = (average * 100 + (1 << load::FRACTION_BITS) / 2) >> load::FRACTION_BITS;
        write!(text, "{}.{:02} ", hundredths / 100, hundredths % 100);
    }
    writeln!(text, "{}/{} {}", load::runnable(), table::thread_count(), table::last_number());
    Ok(())
}

/// `/proc/meminfo`.
pub(super) fn memory(_: Subject, text: &mut Text) -> Result<()> {
    let count = frame::count;
    let (free, cached) = (count(FrameKind::Free), count(FrameKind::PageCache));
    let (shared, dirty) = (vfs::in_memory_total(), vfs::dirty_total());
    let buffers = vfs::buffer_total();
    let clean = cached.saturating_sub(shared + dirty);
    let (heap, stacks) = (count(FrameKind::Heap), count(FrameKind::KernelStack));
    let total = (boot::usable_ram() as usize).div_ceil(PAGE_SIZE);
    let rows = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", (free + clean).saturating_sub(frame::reserve())),
        ("Buffers", buffers),
        ("Cached", cached.saturating_sub(buffers)),
        ("SwapCached", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", dirty),
        ("AnonPages", count(FrameKind::Anonymous)),
        ("AnonHugePages", huge_pages() * (HUGE_PAGE_SIZE / PAGE_SIZE)),
        ("Shmem", shared),
        ("Slab", heap),
        ("SUnreclaim", heap),
        ("KernelStack", stacks),
        ("PageTables", count(FrameKind::PageTable)),
        ("Percpu", count(FrameKind::PerCpu)),
    ];
    for (name, frames) in rows {
        let kib = frames * (PAGE_SIZE / 1024);
        writeln!(text, "{name}:{kib:>width$} kB", width = 23 - name.len());
    }
    Ok(())
}

/// `/proc/vmstat`: what is known of it, in pages.
pub(super) fn pages(_: Subject, text: &mut Text) -> Result<()> {
    let rows = [
        ("free_pages", frame::count(FrameKind::Free)),
        ("anon_pages", frame::count(FrameKind::Anonymous)),
        ("file_pages", frame::count(FrameKind::PageCache)),
        ("dirty", vfs::dirty_total()),
        ("shmem", vfs::in_memory_total()),
        ("page_table_pages", frame::count(FrameKind::PageTable)),
    ];
    for (name, count) in rows {
        writeln!(text, "nr_{name} {count}");
    }
    Ok(())
}

/// `/proc/stat`. Time that is not idle is divided by ticks into user mode, low priority there, and the kernel.
pub(super) fn statistics(_: Subject, text: &mut Text) -> Result<()> {
    let up_ns = time::since_boot_ns();
    let idle_ns = |cpu| load::idle_time_ns(cpu).min(up_ns);
    let count = u64::from(cpu::online_count());
    let line = |text: &mut Text, idle_ns: u64, all_ns: u64, [user, nice, system]: [u64; 3]| {
        let busy = (all_ns - idle_ns.min(all_ns)) / TICK_NS;
        let sum = (user + nice + system).max(1);
        let (user, nice) = (busy * user / sum, busy * nice / sum);
        let system = busy - user - nice;
        writeln!(text, " {user} {nice} {system} {} 0 0 0 0 0 0", idle_ns / TICK_NS);
    };
    let ticks = cpu::online().map(tick::counts).fold([0; 3], |sum, cpu| array::from_fn(|at| sum[at] + cpu[at]));
    text.put(b"cpu ");
    line(text, cpu::online().map(idle_ns).sum(), count * up_ns, ticks);
    for cpu in cpu::online() {
        write!(text, "cpu{cpu}");
        line(text, idle_ns(cpu), up_ns, tick::counts(cpu));
    }
    let interrupts: u64 = irq::counts().iter().flat_map(|row| &row.counts).map(|&count| u64::from(count)).sum();
    writeln!(text, "intr {interrupts}\nctxt {}", load::switches());
    let made = objects::count(objects::Kind::Thread).made;
    writeln!(text, "btime {}\nprocesses {made}", clock::boot_time_ns() / 1_000_000_000);
    writeln!(text, "procs_running {}\nprocs_blocked 0", load::runnable());
    Ok(())
}

/// `/proc/interrupts`.
pub(super) fn interrupts(_: Subject, text: &mut Text) -> Result<()> {
    text.put(b"    ");
    for cpu in cpu::online() {
        write!(text, "       CPU{cpu}");
    }
    text.put(b"\n");
    for row in irq::counts() {
        write!(text, "{:>3}:", row.vector);
        for count in row.counts {
            write!(text, " {count:>10}");
        }
        writeln!(text, "   {}", row.name);
    }
    writeln!(text, "NMI: {:>10}   non-maskable, on all CPUs", irq::nmi_count());
    Ok(())
}

/// What major numbers stand for (Linux's Documentation/admin-guide/devices.txt): of blocks or not, number, name.
const MAJORS: &[(bool, u32, &str)] = &[
    (false, 1, "mem"),
    (false, 4, "ttyS"),
    (false, 5, "/dev/console"),
    (false, 10, "misc"),
    (false, input::MAJOR, "input"),
    (false, 136, "pts"),
    (false, tty::PORT_MAJOR, "hvc"),
    (false, ports::MAJOR, "virtio-portsdev"),
];

/// `/proc/devices`: major numbers in use.
pub(super) fn devices(_: Subject, text: &mut Text) -> Result<()> {
    text.put(b"Character devices:\n");
    let mut found = 0u32;
    vfs::for_each_number(|block, number| {
        let is = |&(of_blocks, major, _): &(bool, u32, &str)| of_blocks == block && split_dev(number).0 == major;
        found |= MAJORS.iter().position(is).map_or(0, |at| 1 << at);
    });
    for (at, (_, major, name)) in MAJORS.iter().enumerate() {
        if found >> at & 1 != 0 {
            writeln!(text, "{major:>3} {name}");
        }
    }
    text.put(b"\nBlock devices:\n");
    for &(major, name) in storage::MAJORS {
        if vfs::block_nodes().iter().any(|node| node.disk().number().0 == major) {
            writeln!(text, "{major:>3} {name}");
        }
    }
    Ok(())
}

/// `/proc/swaps`: the head of a table without rows.
pub(super) fn swaps(_: Subject, text: &mut Text) -> Result<()> {
    text.put(b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
    Ok(())
}

/// `/proc/partitions`: sizes in KiB.
pub(super) fn partitions(_: Subject, text: &mut Text) -> Result<()> {
    text.put(b"major minor  #blocks  name\n\n");
    for node in vfs::block_nodes() {
        let (disk, (major, minor)) = (node.disk(), node.disk().number());
        writeln!(text, "{major:>4} {minor:>8} {:>10} {}", disk.sectors() / 2, disk.name());
    }
    Ok(())
}

/// `/proc/diskstats` (Documentation/admin-guide/iostats.rst).
pub(super) fn disks(_: Subject, text: &mut Text) -> Result<()> {
    for node in vfs::block_nodes() {
        let (disk, (major, minor)) = (node.disk(), node.disk().number());
        write!(text, "{major:>4} {minor:>7} {}", disk.name());
        disk_counts(disk, text);
    }
    Ok(())
}

/// What a disk did: the rest of its line in diskstats, and its file `stat` in sysfs. Requests are not merged once they
/// are made.
pub fn disk_counts(disk: &Disk, text: &mut Text) {
    let value = |number: &AtomicU64| number.load(Ordering::Relaxed);
    let counts = disk.statistics();
    let mut waited_ms = 0;
    for kind in [&counts.reads, &counts.writes] {
        let time_ms = value(&kind.time_ns) / 1_000_000;
        write!(text, " {} 0 {} {time_ms}", value(&kind.requests), value(&kind.sectors));
        waited_ms += time_ms;
    }
    let flushed_ms = value(&counts.flushes.time_ns) / 1_000_000;
    let (under_way, busy_ms) = (counts.under_way.load(Ordering::Relaxed), value(&counts.busy_ns) / 1_000_000);
    write!(text, " {under_way} {busy_ms} {}", waited_ms + flushed_ms);
    writeln!(text, " 0 0 0 0 {} {flushed_ms}", value(&counts.flushes.requests));
}
