// What people do first with Solana's own libraries, against the node whose URL is the first argument.
import assert from "node:assert/strict";
import {
  createMint, getAccount, getAssociatedTokenAddressSync, getMint, getOrCreateAssociatedTokenAccount, mintTo, transfer,
} from "@solana/spl-token";
import {
  Connection, Keypair, LAMPORTS_PER_SOL, PublicKey, SystemProgram, Transaction, sendAndConfirmTransaction,
} from "@solana/web3.js";

const connection = new Connection(process.argv[2], "confirmed");
const alice = Keypair.generate(), bob = Keypair.generate();

// An airdrop, confirmed over the WebSocket one port above.
const airdrop = await connection.requestAirdrop(alice.publicKey, 2 * LAMPORTS_PER_SOL);
const latest = await connection.getLatestBlockhash();
const landed = await connection.confirmTransaction({ signature: airdrop, ...latest }, "confirmed");
assert.equal(landed.value.err, null);
assert.equal(await connection.getBalance(alice.publicKey), 2 * LAMPORTS_PER_SOL);

// SOL, and what the chain tells of it.
const paid = await sendAndConfirmTransaction(connection, new Transaction().add(
  SystemProgram.transfer({ fromPubkey: alice.publicKey, toPubkey: bob.publicKey, lamports: LAMPORTS_PER_SOL / 2 }),
), [alice]);
const told = await connection.getTransaction(paid, { maxSupportedTransactionVersion: 0 });
assert.equal(told.meta.fee, 5000);
assert.equal(told.meta.postBalances[1], LAMPORTS_PER_SOL / 2);
const history = await connection.getSignaturesForAddress(alice.publicKey);
assert.deepEqual(history.map((each) => each.signature), [paid, airdrop]);

// A token: made, issued, sent.
const mint = await createMint(connection, alice, alice.publicKey, null, 6);
const own = await getOrCreateAssociatedTokenAccount(connection, alice, mint, alice.publicKey);
await mintTo(connection, alice, mint, own.address, alice, 5_000_000);
const theirs = await getOrCreateAssociatedTokenAccount(connection, alice, mint, bob.publicKey);
await transfer(connection, alice, own.address, theirs.address, alice, 1_250_000);
assert.equal((await getAccount(connection, theirs.address)).amount, 1_250_000n);
assert.equal((await getMint(connection, mint)).supply, 5_000_000n);
assert.equal(getAssociatedTokenAddressSync(mint, bob.publicKey).toBase58(), theirs.address.toBase58());
const parsed = await connection.getParsedTokenAccountsByOwner(bob.publicKey, { mint });
assert.equal(parsed.value[0].account.data.parsed.info.tokenAmount.uiAmountString, "1.25");
assert.equal((await connection.getTokenSupply(mint)).value.amount, "5000000");

// What cannot be is refused, and moves nothing.
await assert.rejects(
  sendAndConfirmTransaction(connection, new Transaction().add(
    SystemProgram.transfer({ fromPubkey: bob.publicKey, toPubkey: alice.publicKey, lamports: 9 * LAMPORTS_PER_SOL }),
  ), [bob]),
  /custom program error: 0x1/,
);
assert.equal(await connection.getBalance(bob.publicKey), LAMPORTS_PER_SOL / 2);

// Notifications of an account and of logs.
const heard = { account: 0, logs: 0 };
const account = connection.onAccountChange(bob.publicKey, () => { heard.account += 1; }, "confirmed");
const logs = connection.onLogs(new PublicKey(bob.publicKey), () => { heard.logs += 1; }, "confirmed");
await new Promise((resolve) => setTimeout(resolve, 300));
await connection.confirmTransaction(await connection.requestAirdrop(bob.publicKey, 1), "confirmed");
for (let waited = 0; waited < 50 && !(heard.account && heard.logs); waited += 1) {
  await new Promise((resolve) => setTimeout(resolve, 100));
}
await connection.removeAccountChangeListener(account);
await connection.removeOnLogsListener(logs);
assert.deepEqual(heard, { account: 1, logs: 1 });

console.log("fine");
process.exit(0);
