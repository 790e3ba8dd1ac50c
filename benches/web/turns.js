// Contestants take turns, so that a machine that is busy for a while slows all of them.

const ROUNDS = 9;
/** If there are so many already, more must fit into this many milliseconds. */
const FEW_ROUNDS = 3;
const LONGEST = 60_000;
/** A turn takes at least this many milliseconds, because browsers round the time. */
const LEAST = 100;

/**
 * The median time of each of some contestants, functions that do their work so many times and whose
 * promise is fulfilled when it is done, in milliseconds for once; and the median of its part of the
 * first one's time in the same round.
 */
export async function turns(contestants) {
  const entrants = [];
  for (const run of contestants) {
    // Compiles, and touches memory for the first time.
    await run(1);
    let repeats = 1;
    let time;
    while ((time = await timed(run, repeats)) < LEAST) {
      repeats *= Math.min(10, Math.max(2, Math.ceil(LEAST / Math.max(time, 1))));
    }
    entrants.push({ run, repeats, times: [] });
  }
  const start = performance.now();
  for (let round = 0; round < FEW_ROUNDS || (round < ROUNDS && performance.now() < start + LONGEST); round++) {
    for (const { run, repeats, times } of entrants) {
      times.push((await timed(run, repeats)) / repeats);
    }
  }
  const first = entrants[0].times;
  return entrants.map(({ times }) => ({
    time: median(times),
    part: median(times.map((time, round) => time / first[round])),
  }));
}

async function timed(run, repeats) {
  const start = performance.now();
  await run(repeats);
  return performance.now() - start;
}

export function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}
