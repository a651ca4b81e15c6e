/** The symbol under which a declaration keeps its plain data; the rest of its properties are columns or features. */
export const Meta: unique symbol = Symbol.for("millrace.meta");
