// What a zip says of itself, read from its end: enough to tell before an upload that there is no cog.yaml in it.

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const END_BYTES = 22;
const MOST_COMMENT = 65535;
const MOST_DIRECTORY = 16 * 1024 * 1024;

// The names in the archive; null where its table of contents is too long to look at here (or of the 64-bit kind).
export async function namesIn(file) {
  const tail = new DataView(await file.slice(Math.max(0, file.size - END_BYTES - MOST_COMMENT)).arrayBuffer());
  let at = tail.byteLength - END_BYTES;
  while (at >= 0 && tail.getUint32(at, true) !== END) at -= 1;
  if (at < 0) throw new Error("The file is not a zip archive.");
  const count = tail.getUint16(at + 10, true);
  const size = tail.getUint32(at + 12, true);
  const start = tail.getUint32(at + 16, true);
  if (count === 0xffff || start === 0xffffffff || size > MOST_DIRECTORY) return null;
  const directory = new DataView(await file.slice(start, start + size).arrayBuffer());
  const names = [];
  const text = new TextDecoder();
  for (let entry = 0, here = 0; entry < count; entry += 1) {
    if (here + 46 > directory.byteLength || directory.getUint32(here, true) !== ENTRY) return null;
    const length = directory.getUint16(here + 28, true);
    names.push(text.decode(new Uint8Array(directory.buffer, here + 46, Math.min(length, directory.byteLength - here - 46))));
    here += 46 + length + directory.getUint16(here + 30, true) + directory.getUint16(here + 32, true);
  }
  return names;
}
