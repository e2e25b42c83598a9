//! heap_rust ROUNDS: boxes, vectors and a leak in known places, and tells them.
//!
//! Says the same as heap_sites, when it does: see heap_target.h.
use std::hint::black_box;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

extern "C" {
    fn read(file: i32, buffer: *mut u8, size: usize) -> isize;
}

struct Site {
    name: &'static str,
    caller: &'static str,
    objects: AtomicU64,
    bytes: AtomicU64,
    freed_objects: AtomicU64,
    freed_bytes: AtomicU64,
}

impl Site {
    const fn new(name: &'static str, caller: &'static str) -> Site {
        Site {
            name,
            caller,
            objects: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            freed_objects: AtomicU64::new(0),
            freed_bytes: AtomicU64::new(0),
        }
    }

    fn count(&self, bytes: u64) {
        self.objects.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    fn count_free(&self, bytes: u64) {
        self.freed_objects.fetch_add(1, Relaxed);
        self.freed_bytes.fetch_add(bytes, Relaxed);
    }

    fn json(&self) -> String {
        let objects = self.objects.load(Relaxed);
        let bytes = self.bytes.load(Relaxed);
        format!(
            "\"{}\":{{\"caller\":\"{}\",\"objects\":{objects},\
             \"bytes\":{bytes},\"live_objects\":{},\"live_bytes\":{}}}",
            self.name,
            self.caller,
            objects - self.freed_objects.load(Relaxed),
            bytes - self.freed_bytes.load(Relaxed)
        )
    }
}

static BOX_24: Site = Site::new("heap_rust::box_24", "heap_rust::call_box");
static ZEROED_4K: Site =
    Site::new("heap_rust::zeroed_4k", "heap_rust::call_zeroed");
static GROW_64K: Site =
    Site::new("heap_rust::grow_64k", "heap_rust::call_grow");
static ALIGNED_256: Site =
    Site::new("heap_rust::aligned_256", "heap_rust::call_aligned");
static LEAK_1K: Site = Site::new("heap_rust::leak_1k", "heap_rust::call_leak");
static SITES: [&Site; 5] =
    [&BOX_24, &ZEROED_4K, &GROW_64K, &ALIGNED_256, &LEAK_1K];

#[allow(dead_code)]
#[repr(align(64))]
struct Aligned([u8; 256]);

#[inline(never)]
fn box_24(value: u64) -> Box<[u64; 3]> {
    BOX_24.count(24);
    black_box(Box::new([value; 3]))
}

#[inline(never)]
fn zeroed_4k(size: usize) -> Vec<u8> {
    ZEROED_4K.count(4096);
    black_box(vec![0; size])
}

/// realloc: the half is freed, the whole allocated.
#[inline(never)]
fn grow_64k(half: usize) -> Vec<u8> {
    let mut block: Vec<u8> = black_box(Vec::with_capacity(half));
    block.push(1);
    block.reserve_exact(2 * half - 1);
    GROW_64K.count(32768);
    GROW_64K.count_free(32768);
    GROW_64K.count(65536);
    black_box(block)
}

#[inline(never)]
fn aligned_256(value: u8) -> Box<Aligned> {
    ALIGNED_256.count(256);
    black_box(Box::new(Aligned([value; 256])))
}

#[inline(never)]
fn leak_1k(size: usize) {
    LEAK_1K.count(1024);
    std::mem::forget(black_box(Vec::<u8>::with_capacity(size)));
}

#[inline(never)]
fn call_box(value: u64) -> Box<[u64; 3]> {
    black_box(box_24(value))
}

#[inline(never)]
fn call_zeroed(size: usize) -> Vec<u8> {
    black_box(zeroed_4k(size))
}

#[inline(never)]
fn call_grow(half: usize) -> Vec<u8> {
    black_box(grow_64k(half))
}

#[inline(never)]
fn call_aligned(value: u8) -> Box<Aligned> {
    black_box(aligned_256(value))
}

#[inline(never)]
fn call_leak(size: usize) {
    leak_1k(size);
    black_box(size);
}

/// A box of four and a zeroed vector of two stay until the end.
#[inline(never)]
fn round(round: u64) {
    for i in 0..40 {
        let block = call_box(i);
        if i % 4 == 0 {
            std::mem::forget(block);
        } else {
            drop(block);
            BOX_24.count_free(24);
        }
    }
    let block = call_zeroed(black_box(4096));
    if round % 2 == 0 {
        std::mem::forget(block);
    } else {
        drop(block);
        ZEROED_4K.count_free(4096);
    }
    drop(call_grow(black_box(32768)));
    GROW_64K.count_free(65536);
    drop(call_aligned(1));
    ALIGNED_256.count_free(256);
    call_leak(black_box(1024));
}

fn wait_for_line() {
    let mut c = 0u8;
    while unsafe { read(0, &mut c, 1) } == 1 && c != b'\n' {}
}

fn print_truth() {
    let sum = |of: fn(&Site) -> &AtomicU64| -> u64 {
        SITES.iter().map(|site| of(site).load(Relaxed)).sum()
    };
    let totals = format!(
        "\"allocs\":{},\"bytes\":{},\"frees\":{}",
        sum(|site| &site.objects),
        sum(|site| &site.bytes),
        sum(|site| &site.freed_objects)
    );
    let sites: Vec<String> = SITES.iter().map(|site| site.json()).collect();
    println!(
        "{{\"pid\":{},\"mode\":\"rust\",\"sites\":{{{}}},\"totals\":{{{}}}}}",
        std::process::id(),
        sites.join(","),
        totals
    );
    std::io::stdout().flush().expect("stdout");
}

fn main() {
    let rounds = std::env::args()
        .nth(1)
        .map_or(100, |text| text.parse().expect("rounds"));
    println!("ready {}", std::process::id());
    wait_for_line();
    for i in 0..rounds {
        round(i);
    }
    print_truth();
    wait_for_line();
}
