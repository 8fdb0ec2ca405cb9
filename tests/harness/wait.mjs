// Waiting for a state instead of for a time.

/** Asks again until `ask` gives something truthy, and returns it; the error of the last try is kept for the message. */
export async function until(what, ask, { timeout = 10_000, every = 20 } = {}) {
  const deadline = Date.now() + timeout;
  let last;
  for (;;) {
    try {
      const answer = await ask();
      if (answer) return answer;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`waited ${timeout} ms in vain: ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}

/** Fails with `what` when `promise` takes longer. */
export async function within(timeout, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than ${timeout} ms: ${what}`)), timeout);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
