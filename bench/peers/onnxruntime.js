// The time of one network in ONNX Runtime: node onnxruntime.js NETWORK_b<BATCH>.onnx THREADS [SECONDS] prints the median
// of its runs. The input is any but constant: x, 224 x 224 pixels, three planes.
const path = require('path');
const ort = require('onnxruntime-node');

const version = require('onnxruntime-node/package.json').version;

function batchOf(name) {
  const found = name.match(/_b(\d+)$/);
  return found ? Number(found[1]) : 1;
}

function makeInput(session, batch) {
  const dims = [batch, 3, 224, 224];
  const values = new Float32Array(dims.reduce((product, extent) => product * extent, 1));
  let state = 1;
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = state / 2 ** 31 - 1;
  }
  return { [session.inputNames[0]]: new ort.Tensor('float32', values, dims) };
}

async function main([file, threads = '1', seconds = '3']) {
  const name = path.basename(file, '.onnx');
  const session = await ort.InferenceSession.create(file, {
    executionProviders: ['cpu'],
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    intraOpNumThreads: Number(threads),
    interOpNumThreads: 1,
  });
  const input = makeInput(session, batchOf(name));
  for (let warm = 0; warm < 3; warm++) await session.run(input);
  const times = [];
  const end = performance.now() + 1000 * Number(seconds);
  do {
    const begin = performance.now();
    await session.run(input);
    times.push(performance.now() - begin);
  } while (performance.now() < end || times.length < 5);
  times.sort((a, b) => a - b);
  const median = times[Math.floor(times.length / 2)];
  console.log(`onnxruntime-${version} ${name} ${threads}thread: ${median.toFixed(3)} ms (min ${times[0].toFixed(3)}, ${times.length} runs)`);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`onnxruntime.js: ${error.message}`);
  process.exitCode = 1;
});
