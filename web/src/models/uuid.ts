/**
 * UUIDv7 (RFC 9562 §5.7), ascending also within one millisecond, so that unsent messages sort in the order they were
 * written. Uses `getRandomValues`, which unlike `randomUUID` exists on a page served over plain HTTP.
 */

let lastTime = 0;
let counter = 0;

export function uuidv7(now: number = Date.now()): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const random12 = (((bytes[6] ?? 0) & 0x07) << 8) | (bytes[7] ?? 0);
  if (now > lastTime) {
    lastTime = now;
    counter = random12; // below 2048, which leaves room to count up
  } else {
    counter += 1;
    if (counter > 0xfff) {
      lastTime += 1;
      counter = random12;
    }
  }
  const time = lastTime.toString(16).padStart(12, "0");
  const a = (0x7000 | counter).toString(16);
  const b = (0x8000 | (((bytes[8] ?? 0) & 0x3f) << 8) | (bytes[9] ?? 0)).toString(16);
  const tail = Array.from(bytes.subarray(10), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${time.slice(0, 8)}-${time.slice(8)}-${a}-${b}-${tail}`;
}
