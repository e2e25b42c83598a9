// Counts words: closures, generics, traits, iterators, panics.
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display};

mod shapes {
    pub trait Weighted {
        fn weight(&self) -> u64;
        fn doubled(&self) -> u64 {
            self.weight() * 2
        }
    }

    impl Weighted for str {
        fn weight(&self) -> u64 {
            self.bytes().map(u64::from).sum()
        }
    }

    impl<T: Weighted + ?Sized> Weighted for &T {
        fn weight(&self) -> u64 {
            (**self).weight() + 1
        }
    }

    pub struct Ring<T, const N: usize> {
        items: [Option<T>; N],
        next: usize,
    }

    impl<T: Clone + Ord, const N: usize> Ring<T, N> {
        pub fn new() -> Self {
            Ring { items: std::array::from_fn(|_| None), next: 0 }
        }
        pub fn push(&mut self, item: T) -> Option<T> {
            let slot = self.next % N;
            self.next += 1;
            self.items[slot].replace(item)
        }
        pub fn sorted(&self) -> Vec<T> {
            let mut all: Vec<T> = self.items.iter().flatten().cloned().collect();
            all.sort_by(|a, b| b.cmp(a));
            all
        }
    }
}

use shapes::{Ring, Weighted};

#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Token {
    Word(String),
    Number(i64),
    Mark(char),
}

impl Display for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Word(word) => write!(out, "word {word}"),
            Token::Number(number) => write!(out, "number {number:>8}"),
            Token::Mark(mark) => write!(out, "mark {mark:?}"),
        }
    }
}

fn tokens(text: &str) -> impl Iterator<Item = Token> + '_ {
    text.split_whitespace().map(|part| {
        if let Ok(number) = part.parse() {
            Token::Number(number)
        } else if part.chars().count() == 1 {
            Token::Mark(part.chars().next().unwrap())
        } else {
            Token::Word(part.to_lowercase())
        }
    })
}

#[inline(never)]
fn fold<A, F: Fn(A, &Token) -> A>(start: A, all: &[Token], step: F) -> A {
    all.iter().fold(start, |sum, token| step(sum, token))
}

fn main() {
    let text = std::env::args()
        .nth(1)
        .and_then(|path| std::fs::read_to_string(path).ok())
        .unwrap_or_else(|| "a rose is 4 roses , is a rose".to_string());
    let all: Vec<Token> = tokens(&text).collect();
    let mut counts: HashMap<&Token, usize> = HashMap::new();
    let mut ring: Ring<Token, 8> = Ring::new();
    for token in &all {
        *counts.entry(token).or_default() += 1;
        if let Some(old) = ring.push(token.clone()) {
            drop(old);
        }
    }
    let ordered: BTreeMap<_, _> = counts.iter().map(|(t, n)| (t.to_string(), n)).collect();
    for (name, count) in &ordered {
        println!("{name}: {count} {}", name.as_str().doubled());
    }
    let length = fold(0usize, &all, |sum, token| match token {
        Token::Word(word) => sum + word.len(),
        Token::Number(number) => sum.checked_add(*number as usize).expect("small"),
        Token::Mark(_) => sum + 1,
    });
    let worker = std::thread::spawn(move || (0..length as u64).filter(|n| n % 3 == 0).sum::<u64>());
    println!("{} {:?}", worker.join().unwrap(), ring.sorted());
}
