// A QDQ file in ONNX Runtime against our integers: qdq.js STEM reads STEM.onnx, .input, .output and .json, which
// qdq_reference writes, prints how many output codes differ, by how many steps, and which operators the optimised graph
// has. Exit code 1 if more differ than --allow PERCENT (0 without it).
const fs = require('fs');
const ort = require('onnxruntime-node');

function floats(path) {
  const bytes = fs.readFileSync(path);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

function top(scores) {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i] > scores[best]) best = i;
  return best;
}

/// Operators of an optimised file, counted: node types stand in it as length-prefixed text.
function operators(path) {
  const text = fs.readFileSync(path).toString('latin1');
  const counts = {};
  const wanted = ['QLinearConv', 'QLinearAdd', 'QLinearConcat', 'QLinearGlobalAveragePool', 'QLinearAveragePool', 'QGemm',
                  'QLinearMatMul', 'FusedConv', 'Gemm', 'Conv', 'MaxPool', 'QuantizeLinear', 'DequantizeLinear'];
  for (const name of wanted) {
    const field = String.fromCharCode(0x22, name.length) + name;  // NodeProto.op_type: field 4, length-delimited
    const count = text.split(field).length - 1;
    if (count > 0) counts[name] = count;
  }
  return Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(', ');
}

async function main(stem, allowed) {
  const meta = JSON.parse(fs.readFileSync(stem + '.json'));
  const session = await ort.InferenceSession.create(stem + '.onnx', {
    graphOptimizationLevel: 'all', optimizedModelFilePath: stem + '.optimised.onnx', logSeverityLevel: 3 });
  const input = floats(stem + '.input'), ours = floats(stem + '.output');
  const size = meta.input.reduce((a, b) => a * b, 1);
  const dims = [1, ...meta.input];
  let differ = 0, beyond = 0, worst = 0, agree = 0;
  for (let i = 0; i < meta.images; i++) {
    const image = new ort.Tensor('float32', input.subarray(i * size, (i + 1) * size), dims);
    const results = await session.run({ [session.inputNames[0]]: image });
    const theirs = results[session.outputNames[0]].data;
    const own = ours.subarray(i * meta.outputs, (i + 1) * meta.outputs);
    if (theirs.length !== own.length) throw new Error(`${theirs.length} outputs, want ${own.length}`);
    for (let k = 0; k < own.length; k++) {
      const steps = Math.abs(own[k] - theirs[k]) / meta.step;
      if (steps > 0) differ++;
      if (steps > 1) beyond++;
      worst = Math.max(worst, steps);
    }
    if (top(own) === top(theirs)) agree++;
  }
  const codes = meta.images * meta.outputs;
  console.log(`${stem.split('/').pop()}: ${meta.images} images, ${differ} of ${codes} output codes differ, ${beyond} by ` +
              `more than one step, largest ${worst}; top-1 agreement ${(100 * agree / meta.images).toFixed(2)} %`);
  console.log(`  ${operators(stem + '.optimised.onnx')}`);
  if (100 * differ > allowed * codes) process.exitCode = 1;
}

const allow = process.argv.indexOf('--allow');
main(process.argv[2], allow < 0 ? 0 : Number(process.argv[allow + 1]))
    .catch((error) => { console.error(`${process.argv[2]}: ${error.message}`); process.exitCode = 1; });
