// ONNX Runtime on what onnx_reference wrote: node compare_onnx.js STEM prints the largest difference to our outputs, and
// that over the largest output. Exit code 1 if it is above 1e-4 of it.
const fs = require('fs');
const ort = require('onnxruntime-node');

function floats(path) {
  const bytes = fs.readFileSync(path);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

async function main(stem) {
  const session = await ort.InferenceSession.create(stem + '.onnx', { graphOptimizationLevel: 'all', logSeverityLevel: 3 });
  const input = floats(stem + '.input'), ours = floats(stem + '.output');
  const dims = session.inputMetadata[0].shape.map((extent) => (typeof extent === 'number' && extent > 0 ? extent : 2));
  const results = await session.run({ [session.inputNames[0]]: new ort.Tensor('float32', input, dims) });
  const theirs = results[session.outputNames[0]];
  if (theirs.data.length !== ours.length) throw new Error(`${theirs.data.length} outputs, want ${ours.length}`);
  let worst = 0, largest = 0;
  for (let i = 0; i < ours.length; i++) {
    worst = Math.max(worst, Math.abs(ours[i] - theirs.data[i]));
    largest = Math.max(largest, Math.abs(ours[i]));
  }
  const name = stem.split('/').pop();
  console.log(`${name}: input [${dims}], output [${theirs.dims}], largest ${largest.toPrecision(3)}, difference ` +
              `${worst.toExponential(1)}, relative ${(worst / largest).toExponential(1)}`);
  if (!(worst <= 1e-4 * largest)) process.exitCode = 1;
}

main(process.argv[2]).catch((error) => { console.error(`${process.argv[2]}: ${error.message}`); process.exitCode = 1; });
