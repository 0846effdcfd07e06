// What packages of the npm registry say of an export. Reads JSON on stdin, writes JSON on stdout.
const fs = require("fs");
const os = require("os");
const path = require("path");

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

const asked = JSON.parse(fs.readFileSync(0, "utf8"));
Promise.resolve(asked.objects ? problems(asked.objects) : headers(asked)).then((said) => console.log(JSON.stringify(said)));
