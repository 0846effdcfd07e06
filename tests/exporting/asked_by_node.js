// What packages of the npm registry say of an export. Reads questions on stdin, each a line of JSON;
// writes what is said of each, in order, as a line of JSON on stdout.
const fs = require("fs");
const os = require("os");
const path = require("path");
const readline = require("readline");

// The problems that the schemas of custom resources find in objects.
function problems(objects) {
  const models = {
    HTTPRoute: () => require("@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute").HTTPRoute,
    AnalysisTemplate: () => require("@kubernetes-models/argo-rollouts/argoproj.io/v1alpha1/AnalysisTemplate").AnalysisTemplate,
  };
  return objects.flatMap((object) => {
    const Model = models[object.kind]();
    try {
      new Model(object).validate();
      return [];
    } catch (error) {
      return [`${object.kind}: ${error.message}`];
    }
  });
}

// The headers that Netlify's engine gives each path.
async function headers({ text, paths }) {
  const { HeadersHandler } = await import(require.resolve("@netlify/headers"));
  const projectDir = fs.mkdtempSync(path.join(os.tmpdir(), "netlify-"));
  fs.writeFileSync(path.join(projectDir, "_headers"), text);
  const errors = [];
  const logger = { error: (message) => errors.push(message) };
  const handler = new HeadersHandler({ projectDir, logger });
  const found = [];
  for (const one of paths) found.push(await handler.apply(new Request(`https://site.example${one}`)));
  fs.rmSync(projectDir, { recursive: true });
  return { errors, found };
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    console.log(JSON.stringify(asked.objects ? problems(asked.objects) : await headers(asked)));
  }
})();
