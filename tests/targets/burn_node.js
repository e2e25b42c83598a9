// Burns CPU in JavaScript functions; prints "ready PID" first.
'use strict';

function leafA(rounds) {
  let state = rounds;
  for (let left = rounds; left > 0; --left) {
    state = (Math.imul(state, 1103515245) + left) | 0;
  }
  return state;
}

function pathA(rounds) {
  return leafA(rounds) + 1;
}

function sortByKey(rounds) {
  const values = Array.from({length: rounds}, (_, i) => (i * 7919) % 1009);
  return values.sort((left, right) => left - right)[0];
}

let seconds = 60;
for (const argument of process.argv.slice(2)) {
  if (argument.startsWith('--seconds=')) {
    seconds = Number(argument.slice('--seconds='.length));
  }
}
const until = Date.now() + seconds * 1000;
let sink = 0;

function turn() {
  for (let i = 0; i < 20; ++i) sink += pathA(100000) + sortByKey(2000);
  if (Date.now() < until) setImmediate(turn);
}

process.on('SIGTERM', () => process.exit(sink === 0.5 ? 1 : 0));
turn();
console.log(`ready ${process.pid}`);
turn();
