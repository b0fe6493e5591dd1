// Prints the Khronos validator's report on each file given, one JSON document a line; see README.md.
const fs = require("fs");
const validator = require("gltf-validator");

(async () => {
  for (const path of process.argv.slice(2)) {
    const report = await validator.validateBytes(new Uint8Array(fs.readFileSync(path)), { uri: path });
    console.log(JSON.stringify(report));
  }
})();
