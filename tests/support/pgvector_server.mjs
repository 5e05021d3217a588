// A PostgreSQL with pgvector on a free port of the loopback, which it prints; ends with its standard input. It serves
// one connection at a time. Run from where tools/pgvector.sh has installed its packages.
import { PGlite } from '@electric-sql/pglite';
import { vector } from '@electric-sql/pglite-pgvector';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';

process.stdin.on('end', () => process.exit(0)).resume();
const db = await PGlite.create({ extensions: { vector } });
await db.exec('create extension vector');
const server = new PGLiteSocketServer({ db, port: 0, host: '127.0.0.1' });
server.addEventListener('listening', (event) => console.log(event.detail.port));
await server.start();
