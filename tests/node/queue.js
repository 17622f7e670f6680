// A small queue of BullMQ: jobs are added and processed, fail and are retried
// with backoff, wait for their time, overtake others, and 1,000 go through.
// The argument is the port of the server.
"use strict";
const assert = require("node:assert");
const { Queue, QueueEvents, Worker } = require("bullmq");

const connection = { host: "127.0.0.1", port: Number(process.argv[2]) };
const open = [];

function kept(thing) {
    thing.on("error", (error) => fail(error));
    open.push(thing);
    return thing;
}

function fail(error) {
    console.error(error);
    process.exit(1);
}

async function addAndProcess() {
    const queue = kept(new Queue("plain", { connection }));
    const events = kept(new QueueEvents("plain", { connection }));
    await events.waitUntilReady();
    const worker = kept(
        new Worker(
            "plain",
            async (job) => {
                await job.updateProgress(50);
                await job.log(`adding ${job.data.a} and ${job.data.b}`);
                return { sum: job.data.a + job.data.b };
            },
            { connection },
        ),
    );
    const job = await queue.add("add", { a: 2, b: 3 }, { jobId: "the-first" });
    assert.deepStrictEqual(await job.waitUntilFinished(events), { sum: 5 });
    const done = await queue.getJob("the-first");
    assert.strictEqual(await done.getState(), "completed");
    assert.strictEqual(done.progress, 50);
    assert.deepStrictEqual((await queue.getJobLogs("the-first")).logs, ["adding 2 and 3"]);
    // The same id again is the same job.
    await queue.add("add", { a: 1, b: 1 }, { jobId: "the-first" });
    assert.strictEqual(await queue.getCompletedCount(), 1);
    await done.remove();
    assert.strictEqual(await queue.getJob("the-first"), undefined);
    await worker.pause();
    await queue.add("left", {});
    assert.strictEqual(await queue.getWaitingCount(), 1);
    await queue.drain();
    assert.strictEqual(await queue.getWaitingCount(), 0);
}

async function retryWithBackoff() {
    const queue = kept(new Queue("retry", { connection }));
    const events = kept(new QueueEvents("retry", { connection }));
    await events.waitUntilReady();
    const tries = [];
    kept(
        new Worker(
            "retry",
            async (job) => {
                tries.push(Date.now());
                if (job.name === "hopeless" || job.attemptsMade < 2) {
                    throw new Error(`not yet, ${job.attemptsMade}`);
                }
                return "at last";
            },
            { connection },
        ),
    );
    const backoff = { type: "exponential", delay: 100 };
    const job = await queue.add("stubborn", {}, { attempts: 3, backoff });
    assert.strictEqual(await job.waitUntilFinished(events), "at last");
    assert.strictEqual(tries.length, 3);
    assert.ok(tries[1] - tries[0] >= 90, "the first pause");
    assert.ok(tries[2] - tries[1] >= 190, "the second one is longer");
    const hopeless = await queue.add("hopeless", {}, { attempts: 2, backoff: 10 });
    await assert.rejects(hopeless.waitUntilFinished(events), /not yet, 1/);
    const failed = await queue.getFailed();
    assert.deepStrictEqual(failed.map((job) => job.failedReason), ["not yet, 1"]);
    await queue.obliterate({ force: true });
    assert.strictEqual(await queue.getFailedCount(), 0);
}

async function delay() {
    const queue = kept(new Queue("delay", { connection }));
    const events = kept(new QueueEvents("delay", { connection }));
    await events.waitUntilReady();
    const late = await queue.add("late", {}, { delay: 400 });
    const soon = await queue.add("soon", {}, { delay: 100 });
    assert.strictEqual(await late.getState(), "delayed");
    assert.strictEqual(await queue.getDelayedCount(), 2);
    const begun = Date.now();
    const order = [];
    kept(new Worker("delay", async (job) => order.push(job.name), { connection }));
    await soon.waitUntilFinished(events);
    await late.waitUntilFinished(events);
    assert.deepStrictEqual(order, ["soon", "late"]);
    assert.ok(Date.now() - begun >= 300, "not before its time");
}

async function priority() {
    const queue = kept(new Queue("priority", { connection }));
    const events = kept(new QueueEvents("priority", { connection }));
    await events.waitUntilReady();
    const jobs = [];
    for (const priority of [3, 1, 2, 1]) {
        jobs.push(await queue.add(`p${priority}`, {}, { priority }));
    }
    jobs.push(await queue.add("none", {}));
    const counts = await queue.getCountsPerPriority([0, 1, 2, 3]);
    assert.deepStrictEqual(counts, { 0: 1, 1: 2, 2: 1, 3: 1 });
    const order = [];
    kept(new Worker("priority", async (job) => order.push(job.name), { connection }));
    await Promise.all(jobs.map((job) => job.waitUntilFinished(events)));
    // None goes before all.
    assert.deepStrictEqual(order, ["none", "p1", "p1", "p2", "p3"]);
}

async function thousand() {
    const queue = kept(new Queue("thousand", { connection }));
    const seen = new Set();
    let done;
    const all = new Promise((resolve) => (done = resolve));
    const worker = new Worker(
        "thousand",
        async (job) => {
            assert.ok(!seen.has(job.data.index), "each is done once");
            seen.add(job.data.index);
            return job.data.index;
        },
        { connection, concurrency: 20 },
    );
    kept(worker);
    let completed = 0;
    worker.on("completed", () => {
        completed += 1;
        if (completed === 1000) done();
    });
    worker.on("failed", (_, error) => fail(error));
    for (let first = 0; first < 1000; first += 100) {
        const jobs = Array.from({ length: 100 }, (_, index) => ({
            name: "one",
            data: { index: first + index },
            opts: { priority: index % 10 === 0 ? 1 : undefined, delay: index % 7 === 0 ? 5 : 0 },
        }));
        await queue.addBulk(jobs);
    }
    await all;
    assert.strictEqual(seen.size, 1000);
    assert.deepStrictEqual(await queue.getJobCounts("wait", "active", "delayed", "completed"), {
        wait: 0,
        active: 0,
        delayed: 0,
        completed: 1000,
    });
    assert.strictEqual((await queue.clean(0, 400)).length, 400);
    assert.strictEqual(await queue.getCompletedCount(), 600);
}

async function main() {
    await addAndProcess();
    await retryWithBackoff();
    await delay();
    await priority();
    await thousand();
    await Promise.all(open.map((thing) => thing.close()));
    console.log("all went well");
}

main().then(() => process.exit(0), fail);
