// An Express application, with helmet where HELMET says so: node app.js PORT
const express = require("express");
const helmet = require("helmet");

const app = express();
if (process.env.HELMET) {
  app.use(helmet({ hsts: { maxAge: 86400 }, contentSecurityPolicy: { directives: { "img-src": ["'self'"] } } }));
  app.use("/embed", helmet.frameguard({ action: "deny" }));
  app.use("/api", (request, response, next) => { response.set("Cache-Control", "no-store"); next(); });
}
const page = (request, response) => response.cookie("sid", "x").send("<p>page</p>");
app.get("/", page);
app.get("/about", page);
app.get("/embed/video", page);
app.get("/api/users", (request, response) => response.json([]));
app.get("/site.css", (request, response) => response.type("css").send("p {}"));
app.get("/old", (request, response) => response.redirect("/about"));
app.listen(Number(process.argv[2]), "127.0.0.1");
