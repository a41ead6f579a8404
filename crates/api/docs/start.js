// Shows the OpenAPI document that stands beside this page. No validator: it would be asked on another host.
window.onload = () => {
  SwaggerUIBundle({
    url: "openapi.json",
    dom_id: "#ui",
    deepLinking: true,
    validatorUrl: null,
    persistAuthorization: false,
    withCredentials: true,
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
  });
};
