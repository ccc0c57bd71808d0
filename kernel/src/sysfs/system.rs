//! CPUs, the firmware's memory map, and the kernel itself: /sys/devices/system/cpu, /sys/firmware/memmap, /sys/kernel.

use super::{directory, gone, part, subject, text, value};
use crate::sched;
use crate::vfs::Result;
use crate::vfs::pseudo::{Entry, Kind, Members, Subject, Text};
use crate::vm::huge;
use machine::addr::HUGE_PAGE_SIZE;
use machine::boot::info::{Area, AreaKind};
use machine::{boot, cpu};

/// The highest number of a CPU that the kernel could use.
const LAST_CPU: u32 = u64::BITS - 1;

pub(super) const CPU: &[Entry] = &[
    value("isolated", &""),
    value("kernel_max", &LAST_CPU),
    value("offline", &""),
    text("online", all_cpus),
    text("possible", all_cpus),
    text("present", all_cpus),
];

/// The CPUs. None can be taken away, so none has a file `online`, as on Linux without hotplug.
pub(super) static CPUS: Members = Members {
    next: |_, from| {
        let found = (from..u64::from(u64::BITS)).find(|&number| cpu::online_mask() >> number & 1 != 0);
        Ok(found.map(|number| (number, subject(part::NUMBER, number))))
    },
    name: Some(|subject, text| {
        write!(text, "cpu{}", subject.object);
        Ok(())
    }),
    entry: directory("", ONE_CPU),
};

const ONE_CPU: &[Entry] = &[directory("topology", TOPOLOGY)];

/// Each CPU counts as a core of its own in one package.
const TOPOLOGY: &[Entry] = &[
    text("core_cpus", own_mask),
    text("core_cpus_list", own_number),
    text("core_id", own_number),
    text("core_siblings", all_mask),
    text("core_siblings_list", all_cpus),
    value("die_id", &0),
    text("package_cpus", all_mask),
    text("package_cpus_list", all_cpus),
    value("physical_package_id", &0),
    text("thread_siblings", own_mask),
    text("thread_siblings_list", own_number),
];

/// What the boot loader says of the memory.
pub(super) static MEMORY_MAP: Members = Members {
    next: |_, from| {
        let there = usize::try_from(from).is_ok_and(|index| index < boot::info().areas().len());
        Ok(there.then(|| (from, subject(part::NUMBER, from))))
    },
    name: None,
    entry: directory("", AREA),
};

const AREA: &[Entry] = &[
    text("end", |subject, text| text.line(&format_args!("{:#x}", area(subject)?.end.saturating_sub(1)))),
    text("start", |subject, text| text.line(&format_args!("{:#x}", area(subject)?.start))),
    text("type", area_kind),
];

pub(super) const KERNEL: &[Entry] = &[directory("mm", MEMORY), text("tasks", tasks), value("uevent_seqnum", &0)];

const MEMORY: &[Entry] = &[directory("transparent_hugepage", HUGE_PAGES)];
const HUGE_PAGES: &[Entry] = &[
    Entry { name: "enabled", mode: 0o644, kind: Kind::Setting(huge_policy, set_huge_policy) },
    value("hpage_pmd_size", &HUGE_PAGE_SIZE),
];

fn huge_policy(_: Subject, text: &mut Text) -> Result<()> {
    let (names, chosen) = huge::policy();
    for (number, name) in names.iter().enumerate() {
        let (before, after) = if number == chosen { ("[", "]") } else { ("", "") };
        write!(text, "{before}{name}{after}{}", if number + 1 < names.len() { " " } else { "\n" });
    }
    Ok(())
}

fn set_huge_policy(_: Subject, name: &[u8]) -> Result<()> {
    huge::set_policy(name.trim_ascii())
}

fn all_cpus(_: Subject, text: &mut Text) -> Result<()> {
    text.ranges(cpu::online_mask());
    text.put(b"\n");
    Ok(())
}

fn own_number(subject: Subject, text: &mut Text) -> Result<()> {
    text.line(&subject.object)
}

fn all_mask(_: Subject, text: &mut Text) -> Result<()> {
    mask(cpu::online_mask(), text)
}

fn own_mask(subject: Subject, text: &mut Text) -> Result<()> {
    mask(1 << (subject.object % u64::from(u64::BITS)), text)
}

fn area(subject: Subject) -> Result<&'static Area> {
    gone(usize::try_from(subject.object).ok().and_then(|index| boot::info().areas().get(index)))
}

fn area_kind(subject: Subject, text: &mut Text) -> Result<()> {
    text.line(&match area(subject)?.kind {
        AreaKind::Usable => "System RAM",
        AreaKind::Firmware => "ACPI Tables",
        AreaKind::Reserved => "Reserved",
    })
}

/// Hexadecimal, a comma before the lower 32 bits if there are upper ones.
fn mask(mask: u64, text: &mut Text) -> Result<()> {
    match mask >> 32 {
        0 => text.line(&format_args!("{mask:x}")),
        upper => text.line(&format_args!("{upper:x},{:08x}", mask as u32)),
    }
}

/// The kernel's tasks, as the kernel shell's command `tasks` lists them.
fn tasks(_: Subject, text: &mut Text) -> Result<()> {
    writeln!(text, "{:>5} {:<16} {:<8} CPU {:>10} waits for", "id", "name", "state", "ms");
    sched::for_each_task(|task| {
        let ms = task.run_time_ns / 1_000_000;
        write!(text, "{:>5} {:<16} {:<8} {:>3} {ms:>10} ", task.id, task.name, task.state, task.cpu);
        writeln!(text, "{}", task.waiting_for);
    });
    Ok(())
}
