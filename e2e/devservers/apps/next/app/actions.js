"use server";

export async function sign(_, form) {
  return `Signed by ${form.get("name")}, on Node ${process.version}.`;
}
