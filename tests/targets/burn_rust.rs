//! burn_rust: the shares of burn in Rust; same options, same truth.
use std::hint::black_box;
use std::io::Write;

#[repr(C)]
struct TimeSpec {
    seconds: i64,
    nanoseconds: i64,
}

extern "C" {
    fn clock_gettime(clock: i32, time: *mut TimeSpec) -> i32;
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
}

const CLOCK_MONOTONIC: i32 = 1;
const CLOCK_THREAD_CPUTIME_ID: i32 = 3;
const SIGTERM: i32 = 15;

static STOPPING: std::sync::atomic::AtomicBool =
    std::sync::atomic::AtomicBool::new(false);

extern "C" fn stop(_number: i32) {
    STOPPING.store(true, std::sync::atomic::Ordering::Relaxed);
}

fn clock_ns(clock: i32) -> u64 {
    let mut now = TimeSpec { seconds: 0, nanoseconds: 0 };
    unsafe { clock_gettime(clock, &mut now) };
    now.seconds as u64 * 1_000_000_000 + now.nanoseconds as u64
}

macro_rules! spin {
    ($rounds:expr) => {{
        let mut state: u64 = $rounds;
        let mut left: u64 = $rounds;
        while left != 0 {
            state = black_box(
                state.wrapping_mul(6364136223846793005).wrapping_add(left),
            );
            left -= 1;
        }
        state
    }};
}

#[inline(never)]
fn leaf_a(rounds: u64) -> u64 {
    spin!(rounds)
}

#[inline(never)]
fn leaf_b(rounds: u64) -> u64 {
    spin!(rounds ^ 1)
}

#[inline(never)]
fn leaf_c(rounds: u64) -> u64 {
    spin!(rounds ^ 2)
}

#[inline(never)]
fn hop_a(rounds: u64) -> u64 {
    black_box(leaf_a(rounds)) + 1
}

#[inline(never)]
fn path_a(rounds: u64) -> u64 {
    black_box(hop_a(rounds)) + 2
}

struct Worker {
    calls: u64,
}

impl Worker {
    #[inline(never)]
    fn path_b(&mut self, rounds: u64) -> u64 {
        self.calls += 1;
        black_box(leaf_b(rounds)) + self.calls
    }
}

#[inline(never)]
fn path_c(rounds: u64) -> u64 {
    black_box(leaf_c(rounds)) + 3
}

#[inline(never)]
fn run_rounds(until_ns: u64) -> [u64; 3] {
    black_box(leaf_a(3_000_000));
    let start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    black_box(leaf_a(3_000_000));
    let used_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns + 1;
    let rounds_per_ms = 3_000_000 * 1_000_000 / used_ns + 1;
    println!("ready {}", std::process::id());
    let mut worker = Worker { calls: 0 };
    let mut cpu_ns = [0u64; 3];
    let mut random: u32 = 7;
    while !STOPPING.load(std::sync::atomic::Ordering::Relaxed)
        && clock_ns(CLOCK_MONOTONIC) < until_ns
    {
        random = random.wrapping_mul(1664525).wrapping_add(1013904223);
        let rounds = rounds_per_ms * (500 + (random as u64 >> 8) % 1000) / 1000;
        let mut now_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        for (index, used) in cpu_ns.iter_mut().enumerate() {
            black_box(match index {
                0 => path_a(rounds * 5),
                1 => worker.path_b(rounds * 3),
                _ => path_c(rounds * 2),
            });
            let then_ns = now_ns;
            now_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
            *used += now_ns - then_ns;
        }
    }
    cpu_ns
}

fn main() {
    let mut seconds = 60;
    for argument in std::env::args().skip(1) {
        if let Some(value) = argument.strip_prefix("--seconds=") {
            seconds = value.parse().expect("seconds");
        }
    }
    unsafe { signal(SIGTERM, stop) };
    let cpu_ns =
        run_rounds(clock_ns(CLOCK_MONOTONIC) + seconds * 1_000_000_000);
    let scenarios = [
        ("a", "burn_rust::path_a", vec!["leaf_a", "hop_a", "path_a"]),
        ("b", "burn_rust::Worker::path_b", vec!["leaf_b", "Worker::path_b"]),
        ("c", "burn_rust::path_c", vec!["leaf_c", "path_c"]),
    ];
    let mut rows = Vec::new();
    for ((name, marker, chain), used) in scenarios.iter().zip(cpu_ns) {
        let frames: Vec<String> = chain
            .iter()
            .chain(["run_rounds", "main"].iter())
            .map(|frame| format!("\"burn_rust::{frame}\""))
            .collect();
        rows.push(format!(
            "{{\"name\":\"{name}\",\"marker\":\"{marker}\",\"cpu_ns\":{used},\
             \"chains\":[[{}]],\"roots\":[],\"inlined\":[]}}",
            frames.join(",")
        ));
    }
    println!(
        "{{\"pid\":{},\"scenarios\":[{}]}}",
        std::process::id(),
        rows.join(",")
    );
    std::io::stdout().flush().expect("stdout");
}
