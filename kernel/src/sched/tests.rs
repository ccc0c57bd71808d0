//! Kernel tests of the scheduler: sleeping, waking, preemption and locks, by many tasks on all CPUs.

use super::hand_over::Habit;
use super::{TaskInfo, data, find_task, for_each_task, load, park, sleep, spawn, unpark, yield_now};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use core::time::Duration;
use klib::trace::{Event, Record, merge};
use machine::cpu;
use machine::sync::guard::without_interrupts;
use machine::sync::{Mutex, WaitQueue};
use machine::task::{self, Task};
use machine::time;
use machine::trace;
use macros::kernel_test;

/// Longest that a test waits for what must happen, as emulated CPUs are slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// Counts tasks that have finished.
struct Finish {
    left: AtomicUsize,
    changed: WaitQueue,
}

/// Runs `count` tasks with their numbers; gives when all have ended.
fn together(count: usize, body: impl Fn(usize) + Send + Sync + 'static) -> Result<(), String> {
    run_together(count, Arc::new(body))
}

fn run_together(count: usize, body: Arc<dyn Fn(usize) + Send + Sync>) -> Result<(), String> {
    let finish = Arc::new(Finish { left: AtomicUsize::new(count), changed: WaitQueue::new("test tasks") });
    for number in 0..count {
        let (finish, body) = (finish.clone(), body.clone());
        let entry = move || {
            body(number);
            finish.left.fetch_sub(1, Ordering::SeqCst);
            finish.changed.wake_all();
        };
        spawn("test", entry).map_err(|_| "no memory for a task")?;
    }
    let done = || (finish.left.load(Ordering::SeqCst) == 0).then_some(());
    finish.changed.wait_until(Some(time::now() + PATIENCE), || false, done).map_err(|_| "tasks did not end".into())
}

#[kernel_test]
fn sleepers_wake_in_time_and_not_before() -> Result<(), String> {
    let early = Arc::new(AtomicU32::new(0));
    let seen = early.clone();
    together(16, move |number| {
        let wanted = Duration::from_millis(5 + 3 * (number as u64 % 8));
        let start = time::now();
        sleep(wanted);
        if time::now() - start < wanted {
            seen.fetch_add(1, Ordering::Relaxed);
        }
    })?;
    assert_eq!(early.load(Ordering::Relaxed), 0, "sleeps that ended early");
    Ok(())
}

fn refused(refused: trace::Refused) -> String {
    format!("{refused}")
}

/// What a trace says of the test's tasks: the records of all CPUs, in the order of time.
fn traced(body: impl Fn(usize) + Send + Sync + 'static) -> Result<Vec<(usize, Record)>, String> {
    trace::start(1 << 12).map_err(refused)?;
    let result = together(8, body);
    trace::stop().map_err(refused)?;
    result?;
    let ended = trace::ended().map_err(refused)?;
    let counts: Vec<usize> = ended.cpus().iter().map(|part| part.count as usize).collect();
    let mut records = Vec::new();
    let get = |cpu, index| ended.record(cpu, index).and_then(Record::decode);
    merge(&counts, &get, &mut |cpu, record| {
        records.push((cpu, *record));
        true
    });
    ended.forget();
    if records.len() == counts.iter().sum() { Ok(records) } else { Err("a record is none".into()) }
}

/// Every record is about the task that the switch before put on that CPU, and each task came onto a CPU as often as the
/// scheduler itself has counted.
#[kernel_test]
fn traces_miss_no_switch() -> Result<(), String> {
    let records = traced(|_| {
        (0..20).for_each(|_| sleep(Duration::from_micros(50)));
        without_interrupts(|| {
            let result = data(&task::current()).switches.load(Ordering::Relaxed);
            trace::note(Event::Return { number: 0, result });
        });
    })?;
    let mut running = [None; cpu::MAX_CPUS];
    let (mut arrivals, mut compared) = (Vec::new(), 0);
    for (cpu, record) in records {
        if let Event::Begin(_) = record.event {
            continue; // of a task by another
        }
        if running[cpu].is_some_and(|task| task != record.task) {
            return Err(format!("CPU {cpu}: another than {record}"));
        }
        running[cpu] = Some(record.task);
        match record.event {
            Event::Switch { to, .. } => {
                running[cpu] = Some(to);
                arrivals.push(to);
            }
            Event::Return { result, .. } => {
                let seen = arrivals.iter().filter(|&&task| task == record.task).count() as u64;
                if seen != result {
                    return Err(format!("task {} was put on a CPU {result} times, traced {seen} times", record.task));
                }
                compared += 1;
            }
            _ => {}
        }
    }
    if compared == 8 { Ok(()) } else { Err(format!("{compared} of 8 tasks told how often they ran")) }
}

/// Rings come and go while all CPUs write into them.
#[kernel_test]
fn traces_begin_and_end_under_load() -> Result<(), String> {
    let over = Arc::new(AtomicBool::new(false));
    let seen = over.clone();
    spawn("tracer", move || {
        let all_well = (0..100).all(|turn| {
            let well = trace::start(1 + turn % 7).is_ok();
            sleep(Duration::from_micros(200));
            well && trace::stop().is_ok()
        });
        assert!(all_well, "a trace could not be begun or ended");
        over.store(true, Ordering::SeqCst);
    })
    .map_err(|_| "no memory for a task")?;
    together(8, move |_| {
        while !seen.load(Ordering::SeqCst) {
            sleep(Duration::from_micros(20));
            yield_now();
        }
    })?;
    trace::ended().map(|ended| ended.forget()).map_err(refused)
}

#[kernel_test]
fn more_spinning_tasks_than_cpus_do_not_stop_another() -> Result<(), String> {
    let go = Arc::new(AtomicBool::new(false));
    let spinners = cpu::online_count() as usize * 2;
    let flag = go.clone();
    // The last task sets what the others spin for: without preemption it would never run.
    together(spinners + 1, move |number| {
        if number == spinners {
            flag.store(true, Ordering::SeqCst);
        }
        while !flag.load(Ordering::SeqCst) {
            core::hint::spin_loop();
        }
    })?;
    assert!(go.load(Ordering::SeqCst));
    Ok(())
}

#[kernel_test]
fn a_mutex_admits_one_at_a_time() -> Result<(), String> {
    const ROUNDS: u64 = 200;
    const TASKS: usize = 12;
    let inside = Arc::new(AtomicU32::new(0));
    let total = Arc::new(Mutex::new("test total", 0u64));
    let sum = total.clone();
    together(TASKS, move |_| {
        for _ in 0..ROUNDS {
            let mut total = sum.lock();
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two tasks hold one mutex");
            *total += 1;
            yield_now();
            inside.fetch_sub(1, Ordering::SeqCst);
        }
    })?;
    assert_eq!(*total.lock(), ROUNDS * TASKS as u64);
    Ok(())
}

#[kernel_test]
fn an_unpark_before_the_park_is_not_lost() {
    let me = task::current().arc();
    unpark(&me);
    let start = time::now();
    park("nothing", Some(start + PATIENCE));
    assert!(time::now() - start < PATIENCE / 2, "the permit was lost");
}

#[kernel_test]
fn tokens_go_round_a_ring_of_tasks() -> Result<(), String> {
    const TASKS: usize = 8;
    const ROUNDS: usize = 50;
    let turn = Arc::new((AtomicUsize::new(0), WaitQueue::new("test turn")));
    let end = turn.clone();
    together(TASKS, move |number| {
        for round in 0..ROUNDS {
            let mine = round * TASKS + number;
            turn.1.wait(|| (turn.0.load(Ordering::SeqCst) == mine).then_some(()));
            turn.0.store(mine + 1, Ordering::SeqCst);
            turn.1.wake_all();
        }
    })?;
    assert_eq!(end.0.load(Ordering::SeqCst), TASKS * ROUNDS);
    Ok(())
}

#[kernel_test]
fn the_task_list_shows_what_a_task_waits_for() -> Result<(), String> {
    let asleep: Arc<Task> = spawn("test sleeper", || sleep(Duration::from_millis(300))).map_err(|_| "no memory")?;
    let id = asleep.id();
    sleep(Duration::from_millis(100));
    let mut rows: Vec<TaskInfo> = Vec::new();
    for_each_task(|info| rows.push(info.clone()));
    let row = rows.iter().find(|row| row.id == id).ok_or("the sleeper is not in the list")?;
    assert_eq!((row.name.as_str(), row.state, row.waiting_for), ("test sleeper", "waiting", "sleep"));
    let end = time::now() + PATIENCE;
    while find_task(id).is_some() && time::now() < end {
        sleep(Duration::from_millis(20));
    }
    assert!(find_task(id).is_none(), "a task that has ended is still in the list");
    Ok(())
}

#[kernel_test]
fn load_averages_tend_to_what_runs() -> Result<(), String> {
    let one = 1 << load::FRACTION_BITS;
    let after = |start, decay, runnable, periods| (0..periods).fold(start, |now, _| load::step(now, decay, runnable));
    // A minute with one task: 1 - 1/e of it.
    let [minute, five, fifteen] = load::DECAY;
    assert!((41_400..41_460).contains(&after(0, minute, 1, 12)), "{}", after(0, minute, 1, 12));
    assert!((11_860..11_900).contains(&after(0, five, 1, 12)), "{}", after(0, five, 1, 12));
    for decay in [minute, five, fifteen] {
        assert_eq!(after(0, decay, 3, 10_000), 3 * one, "does not reach what runs");
        assert_eq!(after(3 * one, decay, 3, 100), 3 * one, "does not stay");
        assert_eq!(after(3 * one, decay, 0, 10_000), 0, "does not go back to nothing");
    }
    Ok(())
}

#[kernel_test]
fn who_sleeps_after_a_wake_up_is_believed_to_again() -> Result<(), String> {
    let habit = Habit::new();
    let start = time::now();
    let (soon, late) = (start + Duration::from_micros(5), start + Duration::from_millis(5));
    assert!(habit.wakes(start), "a new task is not believed");
    habit.sleeps(soon);
    habit.wakes(start);
    habit.sleeps(late);
    assert!(!habit.wakes(start), "one that goes on is believed");
    for _ in 0..8 {
        habit.sleeps(soon);
        habit.wakes(start);
    }
    habit.goes_on();
    assert!(habit.wakes(start), "one long time is not forgiven");
    habit.sleeps(late);
    habit.sleeps(late); // has woken nobody: nothing to learn
    assert!(!habit.wakes(start), "two long times are forgiven");
    habit.ends();
    habit.sleeps(soon);
    assert!(!habit.wakes(start), "one that ends is believed");
    Ok(())
}
