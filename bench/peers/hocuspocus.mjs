// Hocuspocus as its documentation has it, with its SQLite extension; port and database by the environment.
import { Server } from "@hocuspocus/server";
import { SQLite } from "@hocuspocus/extension-sqlite";

const { HOST, PORT, DATABASE } = process.env;
const server = new Server({
  address: HOST,
  port: Number(PORT),
  quiet: true,
  stopOnSignals: false,
  extensions: [new SQLite({ database: DATABASE })],
});
await server.listen();
